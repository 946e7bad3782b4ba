/** How people come. In an open model nobody waits for anybody else; too few VUs show as `dropped_iterations`. */
import { buyers, seconds, vus } from './settings.ts'

/** All of them within the time, evenly. */
export function everybodyWithin(durationSeconds = seconds, count = buyers): Record<string, object> {
  return {
    arrivals: {
      executor: 'constant-arrival-rate',
      rate: Math.ceil(count / durationSeconds),
      timeUnit: '1s',
      // k6 may begin the last few a little late: whoever comes behind the last buyer has nobody to be.
      duration: `${Math.ceil(durationSeconds * 1.1) + 1}s`,
      preAllocatedVUs: vus,
      maxVUs: vus,
      gracefulStop: '90s',
    },
  }
}

/** Each of them is there beforehand, and acts once. */
export function everybodyWaiting(): Record<string, object> {
  return {
    arrivals: {
      executor: 'per-vu-iterations',
      vus: buyers,
      iterations: 1,
      maxDuration: `${seconds + 90}s`,
    },
  }
}
