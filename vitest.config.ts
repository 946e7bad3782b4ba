import { availableParallelism } from 'node:os'

import { configDefaults, defineConfig } from 'vitest/config'

const exclude = [...configDefaults.exclude, '**/dist/**', '**/.farebox/**', '**/.tools/**']

// On two cores vitest would use one. Files of these projects share nothing: own ports, own directories.
const maxWorkers = Math.max(2, availableParallelism() - 1)

export default defineConfig({
  test: {
    maxWorkers,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['**/*.test.ts', '**/*.prop.test.ts'],
          exclude: [...exclude, '**/*.redis.test.ts', '**/*.ledger.test.ts', '**/*.sim.test.ts', '**/*.e2e.test.ts'],
        },
      },
      { test: { name: 'redis', include: ['**/*.redis.test.ts'], exclude, testTimeout: 60_000, hookTimeout: 30_000 } },
      {
        // New seeds get a time box and all cores, so nothing runs beside them.
        test: { name: 'sim', include: ['**/*.sim.test.ts'], exclude, fileParallelism: false, testTimeout: 300_000 },
      },
      { test: { name: 'ledger', include: ['**/*.ledger.test.ts'], exclude, testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        test: {
          name: 'e2e',
          include: ['**/*.e2e.test.ts'],
          exclude,
          // Real processes share two or so cores and are measured against the clock: one file at a time.
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
