import { afterEach, expect, it, vi } from 'vitest'
import { ownNamespace } from '../../../src/respond/kubernetes/names.ts'

afterEach(() => void vi.unstubAllEnvs())

it('knows where we are', () => {
  vi.stubEnv('POD_NAMESPACE', 'ours')
  expect(ownNamespace()).toBe('ours')
  vi.stubEnv('POD_NAMESPACE', undefined)
  expect(ownNamespace()).toBeUndefined()
})
