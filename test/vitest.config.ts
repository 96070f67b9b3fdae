import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores: real servers and floods side by side would starve each other.
    maxWorkers: 2,
    // A machine that is busy with something else is three times slower, and no less right.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})
