/** Every rule, in the order in which a reader wants to hear of them. */
import * as books from './books.ts'
import type { Evidence, Violation } from './evidence.ts'
import * as promises from './promises.ts'

export const RULES: readonly ((evidence: Evidence) => Violation[])[] = [
  promises.neverOversold,
  promises.noneLost,
  promises.oneOrderPerKey,
  promises.madeOnce,
  promises.ordersAreOnes,
  promises.repeatsAnswered,
  promises.withinLimit,
  promises.noGhosts,
  promises.heldOrdersAreKnown,
  promises.noFalseScarcity,
  promises.noFalseDoor,
  promises.noFalseBlame,
  promises.everybodyKnows,
  promises.lossIsTold,
  promises.ordersAreThere,
  promises.noneTakenBack,
  books.stockLaw,
  books.countersFollow,
  books.limitInBooks,
  books.nothingStranded,
  books.oneFate,
  books.booksAgree,
  books.neverEarly,
  books.onlyWhileOpen,
  books.onlyCertified,
  books.fencesHold,
  books.oneLeader,
  books.noNeedlessAlarm,
  books.decisionsAreAskedFor,
  books.booksAreKept,
  books.nobodyLeftOut,
  books.nobodyGaveUp,
]

export function violationsOf(evidence: Evidence): Violation[] {
  return RULES.flatMap((rule) => rule(evidence))
}
