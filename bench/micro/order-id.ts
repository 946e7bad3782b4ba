import { orderIds } from '../../stock/order-id.ts'
import { buyerAt, keyAt, SALE } from '../ratios/requests.ts'
import { many, nothingToEnd, type Question } from './question.ts'

const TIMES = 500
const LONGEST_BUYER = 'b'.repeat(128)
const LONGEST_KEY = 'k'.repeat(64)

export const orderId: Question = {
  name: 'order-id',
  asks: 'What does it cost to derive the id of an order?',
  async prepare() {
    const idOf = orderIds(Buffer.from('5a'.repeat(32), 'hex'))
    return {
      tasks: [
        many('buyer of 16 characters, key of 20', TIMES, (n) => void idOf(SALE, buyerAt(n), keyAt(n))),
        many('buyer and key at their longest', TIMES, () => void idOf(SALE, LONGEST_BUYER, LONGEST_KEY)),
      ],
      end: nothingToEnd,
    }
  },
}
