import { Writable } from 'node:stream'
import pino from 'pino'
import { afterEach, expect, it, vi } from 'vitest'
import { createRejectLog, excerpt } from '../../src/shared/log.ts'

afterEach(() => {
  vi.useRealTimers()
})

it('says one line a reason in ten seconds, and how many it kept to itself', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const lines: Record<string, unknown>[] = []
  const output = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(chunk))
      done()
    },
  })
  const reject = createRejectLog(pino(output))
  for (let n = 0; n < 5; n++) reject('invalid_json', () => ({ excerpt: `line ${n}` }))
  reject('too_long', () => ({}))
  vi.advanceTimersByTime(10_001)
  for (let n = 5; n < 8; n++) reject('invalid_json', () => ({ excerpt: `line ${n}` }))
  expect(lines).toMatchObject([
    { reason: 'invalid_json', excerpt: 'line 0', suppressed: 0, level: 40 },
    { reason: 'too_long', suppressed: 0 },
    { reason: 'invalid_json', excerpt: 'line 5', suppressed: 4 },
  ])
  expect(lines).toHaveLength(3)
})

it('shows bytes as printable ASCII, and no more than 80 of them', () => {
  const text = Buffer.from('a\x1b[31m"\\\u202e\xff\x7f\n')
  expect(excerpt(text)).toBe('a\\x1b[31m"\\\\\\xe2\\x80\\xae\\xc3\\xbf\\x7f\\x0a')
  expect(excerpt(Buffer.from('x'.repeat(81)))).toBe(`${'x'.repeat(80)}…`)
})
