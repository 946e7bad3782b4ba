/** Ports of a process that dies: at one chosen call, before or after its effect, and from then on nothing it calls happens. */

export interface Death {
  /** Dies at this call, counted from 1 over all ports of the process; Infinity for never. */
  readonly atCall: number
  /** Whether that last call still has its effect. */
  readonly afterEffect: boolean
}

export class Died extends Error {
  override readonly name = 'Died'
}

export class Mortal {
  readonly #death: Death
  #calls = 0

  constructor(death: Death) {
    this.#death = death
  }

  get isDead(): boolean {
    return this.#calls >= this.#death.atCall
  }

  port<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name)
        if (typeof method !== 'function') return method
        return async (...args: unknown[]): Promise<unknown> => {
          this.#calls += 1
          const { atCall, afterEffect } = this.#death
          if (this.#calls > atCall || (this.#calls === atCall && !afterEffect)) throw new Died()
          const result = (await (Reflect.apply(method, target, args) as Promise<unknown>)) ?? null
          if (this.#calls >= atCall) throw new Died()
          return result
        }
      },
    })
  }
}
