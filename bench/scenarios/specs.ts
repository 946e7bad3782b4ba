/** The scenarios: each a file of this name in `bench/k6/scenarios`, and here what it stands on. */
import type { FareSpec } from '../cluster/cluster.ts'
import { NodeDeath } from './death.ts'
import { pulseRedis, rollFleet } from './faults.ts'
import type { ScenarioSpec, Size } from './spec.ts'

const ONE_FARE = (stock: number): FareSpec[] => [{ id: 'standing', stock }]

/** Every ticket is sold, to as many buyers as there are tickets, or to all. */
const oneEach = ({ buyers, stock }: Size, fares: readonly FareSpec[]) => ({
  sold: { [fares[0]?.id ?? '']: Math.min(buyers, stock) },
  limitPerBuyer: 1,
  ticketsReturn: false,
  noRepeats: false,
})

const COMMON = {
  limitPerBuyer: 1,
  holdSeconds: 3600,
  fares: ONE_FARE,
  expects: oneEach,
  winnerP99Ms: 3000,
  refusedP99Ms: 3000,
  vus: 3000,
}
/** For those in which everybody may have to wait: as many as come in some three seconds. */
const MANY_VUS = 4500
const SIZE: Size = { buyers: 30_000, stock: 10_000, nodes: 4, seconds: 20 }

/** A fresh one per run: some remember what they did. */
export const SCENARIOS: Readonly<Record<string, () => ScenarioSpec>> = {
  rush: () => ({
    ...COMMON,
    name: 'rush',
    title: 'The rush',
    about: 'Three buyers for every ticket, all coming in the opening seconds without waiting for one another.',
    size: SIZE,
  }),
  rendezvous: () => ({
    ...COMMON,
    name: 'rendezvous',
    title: 'Rendezvous',
    about: 'All buyers wait with an open connection and are released in the same instant: the worst single moment.',
    size: { buyers: 2000, stock: 500, nodes: 4, seconds: 6 },
    winnerP99Ms: 5000,
  }),
  'sold-out-tail': () => ({
    ...COMMON,
    name: 'sold-out-tail',
    title: 'After the last ticket',
    about:
      'Few tickets, gone at once, then a long crowd to refuse. Refusals must be cheap and leave Redis alone, and winners who ask again with their key must hear of their order.',
    size: { buyers: 30_000, stock: 300, nodes: 4, seconds: 20 },
    refusedP99Ms: 500,
  }),
  steady: () => ({
    ...COMMON,
    name: 'steady',
    title: 'An ordinary day',
    about: 'Fewer buyers than could be served, and a ticket for everybody: what an answer takes when nobody pushes.',
    size: { buyers: 10_000, stock: 20_000, nodes: 4, seconds: 20 },
    winnerP99Ms: 250,
    vus: 500,
  }),
  skew: () => ({
    ...COMMON,
    name: 'skew',
    title: 'One node gets nearly everybody',
    about:
      'Nine of ten buyers go to the first node, past nginx. It must sell far more than its fair share, and nobody may hear "sold out" while another node still has quota.',
    size: SIZE,
    vus: MANY_VUS,
  }),
  'node-death': () => {
    const death = new NodeDeath()
    return {
      ...COMMON,
      name: 'node-death',
      title: 'A node is killed in the middle',
      about:
        'kill -9 of one node when half of the tickets are gone. Its buyers repeat with the same key; its share must be sold by the others, to the last ticket.',
      size: SIZE,
      vus: MANY_VUS,
      winnerP99Ms: 10_000,
      refusedP99Ms: 10_000,
      during: death.during,
      figures: death.figures,
    }
  },
  rolling: () => ({
    ...COMMON,
    name: 'rolling',
    title: 'The fleet is restarted under load',
    about: 'Every node is restarted in turn, by "farebox roll", while everybody finds a ticket. No request may fail.',
    size: { buyers: 20_000, stock: 20_000, nodes: 4, seconds: 90 },
    secondsMin: 60,
    expects: (size, fares) => ({ ...oneEach(size, fares), noRepeats: true }),
    during: rollFleet,
  }),
  'slow-redis': () => ({
    ...COMMON,
    name: 'slow-redis',
    title: 'Redis stands still',
    about:
      'Redis is stopped for 0.2 to 1.3 seconds, again and again, longer than a node waits for a reply. Answers may be slow, or "try again"; none may be wrong.',
    size: SIZE,
    vus: MANY_VUS,
    winnerP99Ms: 10_000,
    refusedP99Ms: 10_000,
    during: pulseRedis,
  }),
  'pay-journey': () => ({
    ...COMMON,
    name: 'pay-journey',
    title: 'Buy, pay, ticket; or let it lapse',
    about:
      'Three of four who hold a ticket pay on the sandbox page and fetch their ticket; the fourth walks away. Holds lapse after a few seconds, their tickets come back, and those who were refused try again until every ticket is paid.',
    size: { buyers: 1200, stock: 400, nodes: 2, seconds: 10 },
    holdSeconds: 8,
    expects: () => ({ sold: null, limitPerBuyer: 1, ticketsReturn: true, noRepeats: false }),
    winnerP99Ms: 10_000,
    vus: 2400,
    figures: ({ orders }) => [
      { name: 'orders paid', value: orders.filter(({ state }) => state === 'paid').length, unit: 'orders' },
      { name: 'orders that lapsed', value: orders.filter(({ state }) => state === 'released').length, unit: 'orders' },
    ],
  }),
  retries: () => ({
    ...COMMON,
    name: 'retries',
    title: 'Impatient people',
    about:
      'Every purchase is sent to nginx and to every node at the same moment, and to all of them again afterwards, with the same key. One order each, with one id.',
    size: { buyers: 4000, stock: 1500, nodes: 4, seconds: 20 },
    vus: 1000,
  }),
  'mixed-fares': () => ({
    ...COMMON,
    name: 'mixed-fares',
    title: 'Several fares, one or two tickets',
    about: 'Fares of very different size, quantities of one and two; whoever finds nothing tries the next fare.',
    // Whoever finds nothing asks five times, which is as much as k6 sends on one core if they all come in 20 seconds.
    size: { buyers: 20_000, stock: 10_000, nodes: 4, seconds: 36 },
    limitPerBuyer: 2,
    fares: (stock) =>
      [0.6, 0.3, 0.09, 0.01].map((share, n) => ({
        id: `fare-${n + 1}`,
        stock: Math.max(1, Math.floor(stock * share)),
      })),
    expects: (_size, fares) => ({
      sold: Object.fromEntries(fares.map(({ id, stock }) => [id, stock])),
      limitPerBuyer: 2,
      ticketsReturn: false,
      noRepeats: false,
    }),
  }),
}
