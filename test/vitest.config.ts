import { globSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const ROOT = new URL('..', import.meta.url).pathname

/** Whether a test starts the program, a server or a cluster, needs the bundle, or takes longer than all others: the fuzz. */
const isSystem = (file: string) =>
  /^test\/(process\/|faults\/|deploy\/|house\/fuzz|simulation\/(simulation|mutations|regressions|runner)\.)/.test(
    file,
  ) ||
  /support\/(api-server|cli|helm|hostile|image|kubernetes|nats|pod|proxy|writer)\.ts|dist\//.test(
    textOf(file),
  )

/** Whether it is behind the real Falco, which sees the whole machine: after all others, one at a time. */
const isFalco = (file: string) => file.startsWith('test/falco/')

/** Whether it shares the API server, which is started only if one of them runs. */
const isCluster = (file: string) => textOf(file).includes('support/live-targets.ts')

const textOf = (file: string) => readFileSync(`${ROOT}${file}`, 'utf8')

const files = globSync('test/**/*.test.ts', { cwd: ROOT })
const project = (
  name: string,
  include: string[],
  globalSetup: string[] = [],
  sequence: { groupOrder?: number } = {},
) => ({
  test: {
    ...{ name, root: ROOT, include, globalSetup, sequence },
    // A machine that is busy with something else is three times slower, and no less right.
    ...{ testTimeout: 300_000, hookTimeout: 300_000 },
  },
})

export default defineConfig({
  test: {
    // Two cores: real servers and floods side by side would starve each other.
    maxWorkers: 2,
    projects: [
      project(
        'unit',
        files.filter((file) => !isSystem(file) && !isFalco(file)),
      ),
      project(
        'system',
        files.filter((file) => isSystem(file) && !isFalco(file) && !isCluster(file)),
      ),
      project('cluster', files.filter(isCluster), ['test/support/shared-kubernetes.ts']),
      project('falco', files.filter(isFalco), [], { groupOrder: 1 }),
    ],
  },
})
