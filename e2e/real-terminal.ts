/** What a person sees: a command in a real terminal (tmux), its screen read back. */
import { runProgram } from './cluster.ts'

/** A real terminal, of a size, in which a command runs. */
export class RealTerminal {
  static #opened = 0
  /** Its own server: one that was told to end may still hold its socket when the next is to start there. */
  readonly #socket = `farebox-${process.pid}-${(RealTerminal.#opened += 1)}`

  async open(columns: number, rows: number, command: string): Promise<void> {
    await this.#tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), command)
  }

  async #tmux(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runProgram('tmux', ['-L', this.#socket, '-f', '/dev/null', ...args])
    if (code !== 0) throw new Error(`tmux ${args[0] ?? ''}: ${stderr}`)
    return stdout
  }

  screen(): Promise<string> {
    return this.#tmux('capture-pane', '-p')
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows))
  }

  async press(key: string): Promise<void> {
    await this.#tmux('send-keys', key)
  }

  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', text)
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server')
  }
}
