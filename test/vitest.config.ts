import { globSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const ROOT = new URL('..', import.meta.url).pathname

/** Whether a test starts the program, a server or a cluster, or needs the bundle. */
const isSystem = (file: string) =>
  /^test\/(process|faults|deploy)\//.test(file) ||
  /support\/(api-server|cli|helm|hostile|image|kubernetes|nats|pod|proxy|writer)\.ts|dist\//.test(
    readFileSync(`${ROOT}${file}`, 'utf8'),
  )

const files = globSync('test/**/*.test.ts', { cwd: ROOT })
const project = (name: string, include: string[]) => ({
  // A machine that is busy with something else is three times slower, and no less right.
  test: { name, root: ROOT, include, testTimeout: 300_000, hookTimeout: 300_000 },
})

export default defineConfig({
  test: {
    // Two cores: real servers and floods side by side would starve each other.
    maxWorkers: 2,
    projects: [
      project(
        'unit',
        files.filter((file) => !isSystem(file)),
      ),
      project('system', files.filter(isSystem)),
    ],
  },
})
