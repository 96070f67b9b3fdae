import { afterEach, expect, it } from 'vitest'
import { useKernelRandom } from '../../src/forward/kernel-random.ts'

const own = Object.getOwnPropertyDescriptor(globalThis, 'crypto')!
afterEach(() => Object.defineProperty(globalThis, 'crypto', own))

it('fills with bytes that are never the same, and leaves the rest of crypto to Node', async () => {
  useKernelRandom()
  const filled = Array.from({ length: 100 }, () =>
    Buffer.from(globalThis.crypto.getRandomValues(new Uint8Array(12))).toString('hex'),
  )
  expect(new Set(filled).size).toBe(100)
  expect(globalThis.crypto.randomUUID()).toMatch(/^[0-9a-f-]{36}$/)
  const digest = await globalThis.crypto.subtle.digest('SHA-256', new Uint8Array())
  expect(digest.byteLength).toBe(32)
})
