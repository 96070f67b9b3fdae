// The chart and the program agree on what may be written for an option, and on its default.

import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { OPTIONS } from '../../src/forward/options.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../../src/shared/options/common.ts'
import { CHART, readText } from '../support/deploy.ts'
import { assembled, FALCO_CHARTS, HELMS, nats, template } from '../support/helm.ts'

/** What people write → whether the program and the chart take it. */
const WRITTEN: Partial<Record<keyof typeof OPTIONS, string[]>> = {
  server: [
    'tls://a:1,nats://b',
    'a:4222',
    'nats://u:p@a',
    '[::1]:4222',
    'ws://a',
    'nats://a/b',
    'a b',
  ],
  subject: [
    'falco.<rule>',
    'x',
    'a-b.<source>_1',
    'a..b',
    '.a',
    'a.',
    'a.*',
    '<ruel>',
    '$a',
    'a b',
    '>',
  ],
  inboxPrefix: ['_INBOX_falco', 'a.b', 'a..b', '.a', 'a.', 'a.*', 'a b', '>'],
  minPriority: ['info', 'informational', 'warn', 'emergency'],
  maxLineBytes: ['1023', '1024', '8MiB', '8193K', '1 MiB', '0'],
  batchBytes: ['4MiB', '5MiB', '1.5MiB', '512kb'],
  bufferBytes: ['4GiB', '5GiB', '1T', '16m', '-1'],
  whenFull: ['drop', 'block', 'drop-below-error', 'drop-below-debug', 'wait'],
  drainTimeout: ['500ms', '1.5h', '10', '10 s', '1w'],
  falcoEvents: ['off', 'bounded', 'full', 'on'],
  maxSeries: ['9', '10', '1000000', '1000001'],
  logLevel: [...LOG_LEVELS, 'warning'],
  logFormat: [...LOG_FORMATS, 'text'],
}
const SENTENCES = Object.entries(WRITTEN).flatMap(([key, texts]) =>
  texts.map((text) => ({ key: key as keyof typeof OPTIONS, text })),
)

it.skipIf(HELMS.length === 0).each(SENTENCES)(
  'agrees with the program on --$key $text',
  ({ key, text }) => {
    const taken = (run: () => unknown) => {
      try {
        run()
        return true
      } catch {
        return false
      }
    }
    const given = `${key}=${/^\d+$/.test(text) ? Number(text) : text.replaceAll(',', '\\,')}`
    const chart = assembled(FALCO_CHARTS[0]!)
    expect(taken(() => template(HELMS[0]!.program, chart, ...nats(given)))).toBe(
      taken(() => OPTIONS[key].parse(text)),
    )
  },
)

const text = readText(join(CHART, 'values.yaml'))
const { natsOutput } = parse(text).falco

// Where the chart names a default, it is the program's.
it.each(Object.entries(OPTIONS).filter(([key]) => natsOutput[key] === ''))(
  'knows the default of %s',
  (key, row) => {
    const comment = text.split(`\n    ${key}: ''`)[0]!.split('# -- ').at(-1)!
    const preset = /\(default `(.+)`/.exec(comment)?.[1]
    const real = row.default ?? row.defaultText
    if (key === 'logFormat') expect(preset).toBe('json')
    else expect(preset).toBe(real)
  },
)
