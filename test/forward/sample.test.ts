import { expect, it } from 'vitest'
import { sampleAlert } from '../../src/forward/sample.ts'
import { runFalcoNats } from '../support/cli.ts'
import { linesOf } from '../support/fixtures.ts'

const MAIN = `${process.execPath} ${new URL('../../src/forward/main.ts', import.meta.url).pathname}`

const TIME = new Date('2026-11-21T01:02:03.456Z')

it('writes alerts as Falco does: keys in byte order, times in nanoseconds', () => {
  const text = sampleAlert(7, TIME)
  const alert = JSON.parse(text)
  expect(Object.keys(alert)).toEqual(Object.keys(alert).sort())
  expect(Object.keys(alert.output_fields)).toEqual(Object.keys(alert.output_fields).sort())
  expect(alert.time).toBe('2026-11-21T01:02:03.456000007Z')
  expect(text).toContain('"evt.time":1795222923456000007')
})

it('writes the one form of time in each: the time of day in output, and evt.time', () => {
  const minutes = String(TIME.getMinutes()).padStart(2, '0')
  for (let index = 0; index < 10; index++) {
    const { output, output_fields: fields, priority } = JSON.parse(sampleAlert(index, TIME))
    expect(output).toMatch(new RegExp(`^\\d\\d:${minutes}:03\\.45600000${index}: ${priority} `))
    expect(Object.keys(fields).filter((name) => name.startsWith('evt.time'))).toEqual(['evt.time'])
  }
})

it('names in the output what is in the fields, as far as Falco knows it', () => {
  const values = Array.from({ length: 10 }, (_, index) => {
    const { output, output_fields: fields } = JSON.parse(sampleAlert(index, TIME))
    for (const [name, value] of Object.entries(fields)) {
      if (name === 'evt.time' || typeof value === 'boolean') continue
      expect([name, output]).toEqual([name, expect.stringContaining(String(value ?? '<NA>'))])
    }
    return Object.values(fields)
  })
  expect(values.flat()).toEqual(expect.arrayContaining([true, null, '']))
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
