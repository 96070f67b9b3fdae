// Faults of the writer: killed in the middle of a line.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  NONE_LOST,
  report,
  SERVER_CONFIG,
  start,
  stopped,
  TIMEOUT_MS,
  write,
} from '../../support/faults.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'

describe('the writer', () => {
  it(
    '7: killed in the middle of a line, five times',
    async () => {
      const writers = 5
      const each = 200
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      await using running = start(dir, server.url)
      await running.logged('connected')
      for (let round = 0; round < writers; round++) {
        const first = 2 * round * each
        const lines = (from: number) =>
          Array.from({ length: each }, (_, i) => `${numberedAlert(from + i)}\n`).join('')
        writeFileSync(dir.file('half'), lines(first) + numberedAlert(-1).slice(0, 20 + round * 10))
        writeFileSync(dir.file('whole'), lines(first + each))
        // Writes all at once, keeps the pipe open, and waits for more to write.
        const writer = spawn('cat', [dir.file('half'), '-'], {
          stdio: ['pipe', openSync(dir.file('nats'), 'w'), 'ignore'],
        })
        await subscriber.count(first + each)
        writer.kill('SIGKILL')
        await once(writer, 'exit')
        await using writing = await write(dir, dir.file('whole'))
        expect(await writing.done()).toBe(0)
        await subscriber.count(first + 2 * each)
      }
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      expect(last).toMatchObject({ reasons: { invalid_json: writers }, left: 0 })
      const sent = 2 * writers * each
      expect(report('7 writer killed', subscriber.messages, sent)).toEqual(NONE_LOST)
    },
    TIMEOUT_MS,
  )
})
