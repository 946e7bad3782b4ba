/** Seeds that found a bug. The drawing of scenarios may have changed since, so each bug also has a unit test. */
export interface Regression {
  readonly seed: number
  readonly found: string
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 10_038, found: 'a sale that another process had opened was put together again, on a look from before' },
  { seed: 10_851, found: 'a store counted anew hid in a new era what it had lost' },
  {
    seed: 20_832,
    found: 'an order that two histories made with two quantities was counted as the one and kept as the other',
  },
  { seed: 204, found: 'a node that an older copy calls dead, under the epoch it has, sold nothing for ever' },
  { seed: 547, found: 'a leader whose fleet record came back older never changed the load balancer again' },
  { seed: 20_677, found: 'the time for nodes to come to a store ran while that store stood still' },
  { seed: 700_003_177, found: 'a store that lacked all nodes was opened before one that had seen more could come' },
  {
    seed: 700_006_371,
    found: 'an older copy that came after a store was judged to have everything was opened, untold',
  },
  {
    seed: 700_008_267,
    found: 'orders that an unnoticed older copy made, and fates that it forgot, waited for the end of their holds',
  },
  {
    seed: 900_000_394,
    found: 'a store that lacked all nodes was opened on the word of one that had never seen the sale',
  },
  {
    seed: 910_018_456,
    found: 'a leader whose lease was another’s in between took its own last plan for the one in force',
  },
  { seed: 920_018_953, found: 'a store was opened although a node that only it had known called it and had seen more' },
  { seed: 1_922_667_934, found: 'the time for nodes to come to a store ran while that store was down' },
  { seed: 4_152_558_799, found: 'a plan under way when its lease ended was thought never to have been applied' },
  { seed: 700_006_796, found: 'a store that was put together again and opened, with no answer, was told to nobody' },
]
