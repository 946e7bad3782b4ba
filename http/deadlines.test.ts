import { expect, it } from 'vitest'
import { seededRandom } from '../runtime/random.ts'
import { DeadlineQueue, type Timed } from './deadlines.ts'

it('expires what is due and was not removed, in order, each once', () => {
  const random = seededRandom(11)
  const queue = new DeadlineQueue(100)
  const expired: number[] = []
  const due: { id: number; atMs: number }[] = []
  const items: Timed[] = []
  for (let id = 0; id < 500; id += 1) {
    items.push({ dueMs: 0, previous: null, next: null, queue: null, expire: () => void expired.push(id) })
    queue.add(items[id] as Timed, id)
    due.push({ id, atMs: id + 100 })
  }
  for (let round = 0; round < 200; round += 1) {
    const id = random.below(500)
    queue.remove(items[id] as Timed)
    const place = due.findIndex((entry) => entry.id === id)
    if (place >= 0) due.splice(place, 1)
  }
  queue.expireDue(99)
  expect(expired).toEqual([])
  queue.expireDue(300)
  expect(expired).toEqual(due.filter(({ atMs }) => atMs <= 300).map(({ id }) => id))
  queue.expireDue(10_000)
  expect(expired).toEqual(due.map(({ id }) => id))
})
