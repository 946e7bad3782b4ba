import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEraBook } from './eras.ts'

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
