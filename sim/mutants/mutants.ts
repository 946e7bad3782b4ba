/**
 * Planted bugs: each takes one guard out of the code, or turns one comparison. `find` must stand in the file exactly
 * once, so that a mutant which no longer fits fails loudly instead of testing nothing.
 */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

const CONFIRM = 'stock/core/confirm.ts'
const FENCE = 'stock/core/fence.ts'
const MEMBERSHIP = 'stock/core/membership.ts'
const SETTLE = 'stock/core/settle.ts'
const CHANGE = 'stock/core/change.ts'
const FLEET = 'stock/core/fleet-record.ts'
const QUOTA = 'node/quota/sale-quota.ts'
const FARE = 'node/quota/fare-quota.ts'
const WINNERS = 'node/quota/winners.ts'
const DESK = 'node/sale-desk.ts'
const MEMBER = 'node/fleet-member.ts'
const MEMORY_LEDGER = 'orders/ledger/memory-ledger.ts'
const MEMORY_ACTS = 'orders/ledger/memory-acts.ts'
const FATES = 'orders/pipeline/fates.ts'
const SETTLING = 'orders/pipeline/settling.ts'
const RECOVERY = 'orders/recovery/recovery.ts'
const REOPEN = 'orders/recovery/reopen.ts'
const CYCLE = 'coordinator/daemon/cycle.ts'

export const MUTANTS: readonly Mutant[] = [
  // The atomic step.
  {
    name: 'one-too-many',
    file: CONFIRM,
    find: "if (fare.remaining >= item.quantity) return { status: 'held' }",
    replace: "if (fare.remaining >= item.quantity - 1) return { status: 'held' }",
  },
  {
    name: 'one-too-few',
    file: CONFIRM,
    find: "if (fare.remaining >= item.quantity) return { status: 'held' }",
    replace: "if (fare.remaining > item.quantity) return { status: 'held' }",
  },
  {
    name: 'forgets-repeats',
    file: CONFIRM,
    find: 'if (before !== undefined) {',
    replace: "if (before !== undefined && before.id === '') {",
  },
  {
    name: 'any-wish-under-a-key',
    file: CONFIRM,
    find: "return same ? { status: 'replayed'",
    replace: "return true ? { status: 'replayed'",
  },
  {
    name: 'limit-plus-one',
    file: CONFIRM,
    find: "> limitPerBuyer) return { status: 'limit_reached'",
    replace: "> limitPerBuyer + 1) return { status: 'limit_reached'",
  },
  {
    name: 'limit-minus-one',
    file: CONFIRM,
    find: "> limitPerBuyer) return { status: 'limit_reached'",
    replace: ">= limitPerBuyer) return { status: 'limit_reached'",
  },
  { name: 'buyer-not-counted', file: CONFIRM, find: 'buyer.tickets += item.quantity', replace: '' },
  {
    name: 'late-is-fine',
    file: CONFIRM,
    find: "if (nowMs > item.deadlineMs) return { status: 'too_late' }",
    replace: '',
  },
  {
    name: 'sells-while-shut',
    file: CONFIRM,
    find: "if (state !== 'open') return",
    replace: "if (state === 'draft') return",
  },
  {
    name: 'state-before-repeat',
    file: CONFIRM,
    find: '  const before = record.orders.get(item.orderId)',
    replace:
      "  if (state !== 'open') return { status: statusOfState(state) }\n  const before = record.orders.get(item.orderId)",
  },
  { name: 'held-is-sold', file: CONFIRM, find: "fare.held > 0 ? 'all_held' : 'sold_out'", replace: "'sold_out'" },
  { name: 'takes-nothing', file: CONFIRM, find: 'fare.remaining -= item.quantity', replace: '' },
  { name: 'last-write-not-kept', file: CONFIRM, find: 'node.lastWriteSeq = seqIfHeld', replace: '' },
  // Fences.
  {
    name: 'no-fingerprint',
    file: FENCE,
    find: 'if (record.certificate !== context.fingerprint) return RECOVERING',
    replace: '',
  },
  {
    name: 'no-look-behind',
    file: FENCE,
    find: 'return isBehind ? voidCertificate(record) : null',
    replace: 'return null',
  },
  {
    name: 'callers-not-noted',
    file: FENCE,
    find: 'if (isBehind && compareVersions(seen, record.sought) > 0)',
    replace: 'if (false)',
  },
  {
    name: 'no-last-write',
    file: FENCE,
    find: 'return known < lastWriteSeq ? voidCertificate(record) : null',
    replace: 'return null',
  },
  {
    name: 'no-era-fence',
    file: FENCE,
    find: "if (caller.seen.era < record.era) return { outcome: 'fenced', version: versionOf(record) }",
    replace: '',
  },
  {
    name: 'no-epoch-fence',
    file: FENCE,
    find: 'return epoch === caller.epoch ? null',
    replace: 'return epoch >= 0 ? null',
  },
  { name: 'behind-once-only', file: FENCE, find: "  record.certificate = ''\n", replace: '' },
  {
    name: 'same-epoch-again',
    file: MEMBERSHIP,
    find: 'epoch: (before?.epoch ?? 0) + 1,',
    replace: 'epoch: before?.epoch ?? 1,',
  },
  {
    name: 'two-leaders',
    file: FLEET,
    find: 'if (taken && leader.id !== coordinator.id)',
    replace: "if (taken && leader.id === '')",
  },
  // Fates.
  {
    name: 'settles-twice',
    file: SETTLE,
    find: "order.reason !== fate.reason ? 'conflict' : 'already'",
    replace: "order.reason !== fate.reason ? 'conflict' : 'settled'",
  },
  {
    name: 'ticket-not-returned',
    file: SETTLE,
    find: "this.#count(fare, item.fate.state === 'paid' ? 'paid' : 'remaining', order.quantity)",
    replace: "if (item.fate.state === 'paid') this.#count(fare, 'paid', order.quantity)",
  },
  {
    name: 'limit-not-given-back',
    file: SETTLE,
    find: "if (item.fate.state === 'released' && buyer !== undefined) buyer.tickets -= order.quantity",
    replace: '',
  },
  { name: 'stock-not-moved', file: CHANGE, find: 'fare.remaining += stock - fare.stock', replace: '' },
  { name: 'stock-below-sold', file: CHANGE, find: 'if (stock < fare.held + fare.paid) {', replace: 'if (stock < 0) {' },
  {
    name: 'opens-early',
    file: 'stock/core/sale-record.ts',
    find: 'opensAtMs !== null && nowMs >= opensAtMs',
    replace: 'opensAtMs !== null && nowMs + 500 >= opensAtMs',
  },
  // Quota and what memory may answer.
  {
    name: 'share-without-floor',
    file: 'stock/core/allowance.ts',
    find: 'return Math.max(input.limitPerBuyer, share + bufferOf(input.buffer, weighted, divisor))',
    replace: 'return Math.floor(weighted / divisor)',
  },
  {
    name: 'cumulative-quota',
    file: FARE,
    find: '(this.level?.allowance ?? 0) - this.inFlight',
    replace: '(this.level?.allowance ?? 0) - this.confirmed - this.inFlight',
  },
  { name: 'never-restores', file: FARE, find: 'this.inFlight -= quantity', replace: '' },
  { name: 'restores-twice', file: FARE, find: 'this.inFlight -= quantity', replace: 'this.inFlight -= 2 * quantity' },
  {
    name: 'deducts-less-than-all',
    file: FARE,
    find: 'if (quantity > this.available) return false',
    replace: 'if (quantity >= this.available) return false',
  },
  {
    name: 'hears-the-past',
    file: FARE,
    find: 'if (this.level !== null && compareVersions(version, this.version) < 0) return',
    replace: '',
  },
  {
    name: 'trusts-a-stale-zero',
    file: QUOTA,
    find: 'return nowMs - Math.max(fare.heardSentMs, this.#syncedSentMs) < FRESH_MS',
    replace: 'return nowMs >= 0',
  },
  {
    name: 'trusts-a-stale-door',
    file: QUOTA,
    find: 'return nowMs - this.#stateSentMs < FRESH_MS',
    replace: 'return nowMs >= 0',
  },
  {
    name: 'winners-not-asked',
    file: QUOTA,
    find: 'if (wish.mayRepeat ? winners.mayHaveWon(wish.buyer, since) : winners.has(wish.buyer)) return TO_STORE',
    replace: '',
  },
  {
    name: 'winners-always-complete',
    file: WINNERS,
    find: 'return !this.isCompleteAt(version)',
    replace: 'return false',
  },
  { name: 'winners-not-told', file: CONFIRM, find: 'emit(record, { made })', replace: 'emit(record, { made: [] })' },
  // The desk.
  {
    name: 'fresh-when-read',
    file: DESK,
    find: 'this.quota.hearHeartbeat(reply, sentMs, receivedMs)',
    replace: 'this.quota.hearHeartbeat(reply, receivedMs, receivedMs)',
  },
  {
    name: 'acknowledges-early',
    file: DESK,
    find: "this.#takeBack(batch, !(error instanceof StoreError && error.outcome === 'not_executed'))",
    replace:
      "for (const buy of batch) buy.answer({ by: 'store', verdict: { status: 'held', order: { id: buy.orderId } }, nowMs: 0 } as never)",
  },
  {
    name: 'unknown-is-sold-out',
    file: DESK,
    find: "this.#takeBack(batch, !(error instanceof StoreError && error.outcome === 'not_executed'))",
    replace: "for (const buy of batch) buy.answer({ by: 'memory', refusal: 'sold_out' })",
  },
  {
    name: 'drops-unknown',
    file: DESK,
    find: "this.#takeBack(batch, !(error instanceof StoreError && error.outcome === 'not_executed'))",
    replace: '',
  },
  {
    name: 'unknown-is-busy',
    file: DESK,
    find: "if (buy.isUncertain || buy.isOut) return 'outcome_unknown'",
    replace: '',
  },
  {
    name: 'repeats-without-fence',
    file: DESK,
    find: "      this.#onTrouble('confirm', error)\n      this.#leaveSale('fenced')\n",
    replace: "      this.#onTrouble('confirm', error)\n      await delay(this.#timers, REJOIN_DELAY_MS)\n",
  },
  {
    name: 'deadline-tomorrow',
    file: DESK,
    find: 'deadlineMs: Math.floor(storeNowMs + buy.dueMs - sentMs),',
    replace: 'deadlineMs: Math.floor(storeNowMs + buy.dueMs - sentMs) + 86_400_000,',
  },
  {
    name: 'keeps-the-dead',
    file: DESK,
    find: '    this.quota.release(buy)\n    return false\n',
    replace: '    return false\n',
  },
  {
    name: 'ids-of-each-node',
    file: DESK,
    find: "orderIds(Buffer.from(definition.orderIdSecret, 'hex'))",
    replace:
      "orderIds(Buffer.from(definition.orderIdSecret.slice(0, 60) + settings.nodeId.charCodeAt(1).toString(16), 'hex'))",
  },
  { name: 'ids-without-buyer', file: 'stock/order-id.ts', find: '${buyer.length}:${buyer}', replace: '' },
  // The fleet.
  {
    name: 'dead-and-content',
    file: MEMBER,
    find: "reply.outcome === 'alive' && reply.state === 'dead'",
    replace: "reply.outcome === 'alive' && reply.state === ('' as string)",
  },
  {
    name: 'fenced-and-content',
    file: MEMBER,
    find: '        this.#isJoined = false\n        this.#logger.info({ outcome: isDead',
    replace: '        this.#logger.info({ outcome: isDead',
  },
  // Recovery.
  {
    name: 'nodes-not-heard',
    file: REOPEN,
    find: '...facts.nodes.flatMap((node) => reasonsOfNode(store, node))',
    replace: '',
  },
  {
    name: 'mark-not-compared',
    file: REOPEN,
    find: 'if (compareVersions(store.version, mark) < 0) {',
    replace: 'if (compareVersions(store.version, mark) < -1e9) {',
  },
  { name: 'nobody-to-ask', file: REOPEN, find: 'if (!facts.nodes.some(hasSeenTheSale)) {', replace: 'if (false) {' },
  { name: 'era-says-all', file: CHANGE, find: ' || record.seq < expected.seq', replace: '' },
  {
    name: 'version-says-all',
    file: CYCLE,
    find: 'order === 0 && isSameTopology(topologyOf(version, nodes, orders), applied)',
    replace: 'order === 0',
  },
  {
    name: 'old-plan-for-ever',
    file: CYCLE,
    find: 'if (!fleet.certified || this.#isBehindPlan(fleet)) {',
    replace: 'if (!fleet.certified) {',
  },
  // The orders side.
  {
    name: 'takes-fenced',
    file: MEMORY_LEDGER,
    find: "if (sale.era !== batch.storeEra) return { outcome: 'fenced', era: sale.era }",
    replace: '',
  },
  {
    name: 'cursor-not-compared',
    file: MEMORY_LEDGER,
    find: "if (compareVersions(sale.taken, batch.after) !== 0) return { outcome: 'moved', taken: sale.taken }",
    replace: '',
  },
  {
    name: 'one-clock-is-enough',
    file: 'orders/ledger/fate.ts',
    find: 'Math.min(ledgerNowMs, storeNowMs)',
    replace: 'Math.max(ledgerNowMs, storeNowMs)',
  },
  {
    name: 'never-expires',
    file: 'orders/pipeline/sweep.ts',
    find: 'const lapsed = await ledger.expire(saleId, storeNowMs, AT_A_TIME)',
    replace: 'const lapsed = [] as const',
  },
  {
    name: 'never-reconciles',
    file: 'orders/pipeline/reconcile.ts',
    find: 'await settling.settleOrders(found.filter(({ id }) => !settling.isStuck(id)))',
    replace: '',
  },
  {
    name: 'row-not-made-sure-of',
    file: FATES,
    find: "if (result.outcome === 'no_such_order') {",
    replace: "if (result.outcome === ('' as string)) {",
  },
  {
    name: 'settled-is-settled',
    file: SETTLING,
    find: 'await ledger.markSettled(fates, { saleId, version })',
    replace: 'await ledger.markSettled(fates)',
  },
  {
    name: 'reads-the-ledger-alone',
    file: 'orders/order-reader.ts',
    find: 'return row ?? this.findInStore(orderId)',
    replace: 'return row',
  },
  {
    name: 'tells-before-it-is-kept',
    file: 'node/teller.ts',
    find: 'if (acknowledger !== undefined && hasOrder(verdict)) orders.push(',
    replace: 'if (acknowledger === null && hasOrder(verdict)) orders.push(',
  },
  {
    name: 'wish-not-compared',
    file: 'orders/recovery/union.ts',
    find: ' && fareId === row.fareId && quantity === row.quantity',
    replace: '',
  },
  {
    name: 'judges-an-old-look',
    file: RECOVERY,
    find: 'const present = await port.sales.read(saleId, rules)',
    replace: 'const present = snapshot',
  },
  {
    name: 'recount-hides-a-loss',
    file: RECOVERY,
    find: 'return store === null ? [] : testimonies.flatMap((node) => reasonsOfNode(store, node))',
    replace: 'return []',
  },
  // Operators who act at once.
  {
    name: 'turn-ends-not-in-ledger',
    file: MEMORY_ACTS,
    find: 'return this.#ledger.turnOf(saleId) !== number',
    replace: 'return this.#ledger.turnOf(saleId) === null && number > 0',
  },
  {
    name: 'transfer-never-over',
    file: MEMORY_ACTS,
    find: 'this.#transfers.delete(key)',
    replace: 'this.#transfers.get(key)',
  },
  {
    name: 'turn-ends-not-in-store',
    file: FENCE,
    find: 'if (turn === record.turn && seen.era === record.era) return null',
    replace: 'if (turn > 0 && seen.era > 0) return null',
  },
]
