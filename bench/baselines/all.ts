/** The baselines by name: what each is, what it is known for, and what store it needs. */
import type { MakeBaseline } from './baseline.ts'
import { redisDecr } from './redis-decr.ts'
import { redisList } from './redis-list.ts'
import { redisQueue } from './redis-queue.ts'
import { redisScript } from './redis-script.ts'
import { redisUserLock } from './redis-user-lock.ts'
import { redisWatch } from './redis-watch.ts'
import { sqlConditional } from './sql-conditional.ts'
import { sqlRowLock } from './sql-row-lock.ts'
import { sqlVersion } from './sql-version.ts'
import { trainTicket, trainTicketLeaking } from './train-ticket.ts'

export interface BaselineEntry {
  readonly title: string
  readonly about: string
  /** Null where it keeps count whatever happens here. */
  readonly knownDefect: string | null
  readonly store: 'redis' | 'postgres'
  readonly make: MakeBaseline
}

const BUYS_TWICE = 'a repeat after a lost answer buys a second ticket, and the first is nobody’s'

export const BASELINES: Readonly<Record<string, BaselineEntry>> = {
  'redis-watch': {
    title: 'WATCH loop',
    about: 'Redis WATCH, GET, MULTI, EXEC; again when somebody was faster. Order by key.',
    knownDefect: null,
    store: 'redis',
    make: redisWatch,
  },
  'redis-list': {
    title: 'list of tickets',
    about: 'Redis LPOP from a list with one element per ticket, then the order.',
    knownDefect: BUYS_TWICE,
    store: 'redis',
    make: redisList,
  },
  'redis-decr': {
    title: 'DECR, test below 0',
    about: 'Redis DECR, refused below zero, then the order.',
    knownDefect: `the counter goes on falling, so that what comes back is not sold; ${BUYS_TWICE}`,
    store: 'redis',
    make: redisDecr,
  },
  'redis-script': {
    title: 'one Lua call each',
    about: 'Redis script per purchase: counter and order by key, no limit per buyer, no fences.',
    knownDefect: null,
    store: 'redis',
    make: redisScript,
  },
  'redis-user-lock': {
    title: 'lock per buyer',
    about: 'Redis SET NX for the buyer, GET, then DECR and the order by key.',
    knownDefect: 'buyers do not lock each other out, so the last tickets are seen by several: oversells',
    store: 'redis',
    make: redisUserLock,
  },
  'redis-queue': {
    title: 'queue, one worker',
    about: 'Redis list as a queue, one worker, the answer by publish and subscribe.',
    knownDefect: 'with the worker everything stops',
    store: 'redis',
    make: redisQueue,
  },
  'sql-conditional': {
    title: 'SQL, conditional update',
    about: 'PostgreSQL: update where remaining > 0 and the order, one statement.',
    knownDefect: null,
    store: 'postgres',
    make: sqlConditional,
  },
  'sql-version': {
    title: 'SQL, version column',
    about: 'PostgreSQL: optimistic, read and write if the version is the same; else again.',
    knownDefect: null,
    store: 'postgres',
    make: sqlVersion,
  },
  'sql-row-lock': {
    title: 'SQL, row lock',
    about: 'PostgreSQL: select for update, order, update, in a transaction.',
    knownDefect: null,
    store: 'postgres',
    make: sqlRowLock,
  },
  'train-ticket': {
    title: 'original, leak mended',
    about: 'The train-ticket program: process-wide lock, local then remote deduction; keeps a counter, no orders.',
    knownDefect: `sells one too many (>= for >); its share is not given back; ${BUYS_TWICE}`,
    store: 'redis',
    make: trainTicket,
  },
  'train-ticket-leaking': {
    title: 'original',
    about: 'The same as it was published: a connection per request, never returned.',
    knownDefect: 'stops for good when its pool of connections is used up (12,000 as published, fewer here)',
    store: 'redis',
    make: trainTicketLeaking,
  },
}
