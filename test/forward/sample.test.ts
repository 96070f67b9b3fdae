import { expect, it } from 'vitest'
import { sampleAlert } from '../../src/forward/sample.ts'
import { runFalcoNats } from '../support/cli.ts'
import { linesOf } from '../support/fixtures.ts'

const MAIN = `${process.execPath} ${new URL('../../src/forward/main.ts', import.meta.url).pathname}`

it('writes alerts as Falco does: keys in byte order, times in nanoseconds', () => {
  const text = sampleAlert(7, new Date('2026-11-21T01:02:03.456Z'))
  const alert = JSON.parse(text)
  expect(Object.keys(alert)).toEqual(Object.keys(alert).sort())
  expect(Object.keys(alert.output_fields)).toEqual(Object.keys(alert.output_fields).sort())
  expect(alert.time).toBe('2026-11-21T01:02:03.456000007Z')
  expect(text).toContain('"evt.time":1795222923456000007')
})

it('writes as many as it is told, which forward without a reject', async () => {
  // More than a pipe holds, into a reader that takes its time.
  const { code, stdout } = await runFalcoNats(
    ['-c', `${MAIN} sample --count 500 | (sleep 1; cat)`],
    {
      program: ['/bin/sh'],
    },
  )
  expect(code).toBe(0)
  expect(linesOf(stdout)).toHaveLength(500)
  const forwarded = await runFalcoNats(['-f', '-', '--dry-run'], { input: stdout })
  expect(forwarded.code).toBe(0)
  expect(forwarded.log.at(-1)).toMatchObject({ delivered: 500, rejected: 0 })
})

it('keeps to a rate', async () => {
  const startedAt = performance.now()
  const { stdout } = await runFalcoNats(['sample', '--count', '6', '--rate', '10'])
  expect(linesOf(stdout)).toHaveLength(6)
  expect(performance.now() - startedAt).toBeGreaterThan(500)
})

it('ends quietly when nobody reads any more', async () => {
  const { code, stdout, stderr } = await runFalcoNats(
    ['-c', `${MAIN} sample --count 0 | head -n 2`],
    {
      program: ['/bin/sh'],
    },
  )
  expect({ code, stderr, lines: linesOf(stdout).length }).toEqual({ code: 0, stderr: '', lines: 2 })
})
