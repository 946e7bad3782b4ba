import { expect, it } from 'vitest'
import uws, { explainFailedLoad } from './uws.ts'

it('loads here', () => {
  expect(typeof uws.App).toBe('function')
})

it('explains a failed load with what was found and the ways out', () => {
  const text = explainFailedLoad(new Error("version `GLIBC_2.38' not found"), {
    node: '22.1.0',
    abi: '127',
    glibc: '2.36',
    platform: 'linux-x64',
  })
  for (const part of ['Node 22.1.0', 'ABI 127', 'glibc 2.36', 'use Node 20', 'GLIBC_2.38', 'github:uNetworking']) {
    expect(text).toContain(part)
  }
})
