import { Identifier } from '../../http/identity.ts'
import { tokenSigner } from '../../http/sign-token.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import { buyerAt } from '../ratios/requests.ts'
import { many, nothingToEnd, type Question } from './question.ts'

const TIMES = 1000
const SECRET = 'a secret of the benchmark, 32 bytes or more'
/** So small that a token is forgotten before it comes again. */
const FORGETFUL = { cacheSize: 10 }

export const tokenCheck: Question = {
  name: 'token-check',
  asks: 'What does it cost to know a buyer by the token, at first sight and later?',
  async prepare() {
    const sign = tokenSigner(SECRET, { issuer: null, audience: null })
    const headers = Array.from({ length: TIMES }, (_, n) => `Bearer ${sign(buyerAt(n), Date.now() + 3_600_000)}`)
    const forged = headers.map((header) => `${header.slice(0, -4)}AAAA`)
    const seeing = (more: object) => {
      const options = {
        mode: 'token',
        secret: SECRET,
        publicKeyPems: [],
        issuer: null,
        audience: null,
        ...more,
      } as const
      const identifier = new Identifier(options, systemClock, systemRandom)
      return (from: readonly string[], wanted: string) => (n: number) => {
        const { outcome } = identifier.identify(from[n] ?? '')
        if (outcome !== wanted) throw new Error(`a token was ${outcome}, not ${wanted}`)
      }
    }
    return {
      tasks: [
        many('first sight', TIMES, seeing(FORGETFUL)(headers, 'known')),
        many('seen before', TIMES, seeing({})(headers, 'known')),
        many('a forged signature, refused', TIMES, seeing({})(forged, 'refused')),
      ],
      end: nothingToEnd,
    }
  },
}
