import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEraBook } from './eras.ts'
import { openMarkBook, readMarks } from './marks.ts'

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-books-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe('the era book', () => {
  it('allots 1 first, goes on after being opened again', async () => {
    const book = await openEraBook(directory)
    expect(await book.last()).toBe(0)
    expect([await book.allot(), await book.allot()]).toEqual([1, 2])
    const again = await openEraBook(directory)
    expect(await again.last()).toBe(2)
    expect(await again.allot()).toBe(3)
  })

  it('goes above what the store knows', async () => {
    const book = await openEraBook(directory)
    expect(await book.allot(41)).toBe(42)
    expect(await book.allot(7)).toBe(43)
  })

  it('gives no era twice, also when several processes ask at once', async () => {
    const books = await Promise.all([openEraBook(directory), openEraBook(directory), openEraBook(directory)])
    const eras = await Promise.all(books.flatMap((book) => [book.allot(), book.allot(), book.allot(), book.allot()]))
    expect(new Set(eras).size).toBe(12)
  })
})

describe('the mark book', () => {
  const store = { durable: true, fingerprint: 'life-1' }

  it('keeps the highest version over a restart', async () => {
    const book = await openMarkBook(directory, 'c1')
    book.note('demo', { era: 1, seq: 9 }, store)
    book.note('demo', { era: 1, seq: 4 }, store)
    await book.flush()
    const again = await openMarkBook(directory, 'c1')
    expect(again.get('demo')).toEqual({ era: 1, seq: 9, ...store })
    expect(again.get('other')).toBeNull()
    expect(again.saleIds()).toEqual(['demo'])
  })

  it('learns of lost durability at an unchanged version', async () => {
    const book = await openMarkBook(directory, 'c1')
    book.note('demo', { era: 1, seq: 9 }, store)
    book.note('demo', { era: 1, seq: 9 }, { ...store, durable: false })
    expect(book.get('demo')?.durable).toBe(false)
  })

  it('knows what another coordinator saw, and leaves its file alone', async () => {
    const first = await openMarkBook(directory, 'c1')
    const second = await openMarkBook(directory, 'c2')
    first.note('demo', { era: 2, seq: 1 }, store)
    await first.flush()
    second.note('demo', { era: 1, seq: 50 }, store)
    await second.flush()
    expect((await readMarks(directory)).get('demo')?.era).toBe(2)
    await second.refresh()
    expect(second.get('demo')?.era).toBe(2)
  })

  it('leaves no temporary file, and writes nothing when nothing changed', async () => {
    const book = await openMarkBook(directory, 'c1')
    await book.flush()
    expect(await readdir(directory)).toEqual([])
    book.note('demo', { era: 1, seq: 1 }, store)
    await Promise.all([book.flush(), book.flush()])
    expect(await readdir(directory)).toEqual(['marks-c1.json'])
  })

  it('refuses a broken file instead of taking it for no mark', async () => {
    await writeFile(join(directory, 'marks-c1.json'), '{"format":1,"sales":{"demo":{"era":1}}}')
    await expect(openMarkBook(directory, 'c1')).rejects.toThrow('marks-c1.json is not a file of marks')
    await writeFile(join(directory, 'marks-c1.json'), 'not json')
    await expect(openMarkBook(directory, 'c1')).rejects.toThrow('marks-c1.json')
  })
})
