import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../../../src/forward/command-line.ts'
import {
  addCommand,
  streamSettings,
} from '../../../../src/forward/delivery/jetstream/stream-settings.ts'

function settingsOf(...args: string[]) {
  const invocation = parseCommandLine(['--jetstream', ...args], {})
  if (invocation.run !== 'forward') throw new Error(invocation.run)
  return streamSettings(invocation.config)
}

describe('the stream that is meant', () => {
  it('is FALCO, with the defaults that --help names, unless options are given', () => {
    const defaults = { maxAgeMs: 7 * 86_400_000, duplicateWindowMs: 120_000 }
    expect(settingsOf()).toEqual({ name: 'FALCO', subject: 'falco.>', ...defaults })
    expect(settingsOf('--stream', 'S', '--subject', 'a.b.<rule>')).toEqual({
      ...{ name: 'S', subject: 'a.b.>' },
      ...defaults,
    })
    const more = ['--create-stream', '--stream-max-age', '0', '--duplicate-window', '1h']
    expect(settingsOf(...more)).toMatchObject({ maxAgeMs: 0, duplicateWindowMs: 3_600_000 })
  })

  it('takes everything where the subject begins with a token', () => {
    expect(settingsOf('--subject', '<rule>.x')).toMatchObject({ subject: '>' })
  })
})

it('is made by the command of the nats CLI with the same settings', () => {
  expect(addCommand(settingsOf())).toBe(
    "nats stream add FALCO --subjects 'falco.>' --storage file --discard old --max-age 7d --dupe-window 2m --defaults",
  )
  expect(addCommand(settingsOf('--create-stream', '--stream-max-age', '0'))).not.toMatch(/max-age/)
})

it.each([
  [['--stream', 'S'], /^--stream is given without --jetstream; allowed: only with it$/],
  [['--max-in-flight', '9'], /^--max-in-flight is given without --jetstream/],
  [['--jetstream', '--stream-max-age', '0'], /^--stream-max-age is given without --create-stream/],
  [
    ['--jetstream', '--create-stream', '--stream-max-age', '1m'],
    /^--duplicate-window is longer than --stream-max-age/,
  ],
  [['--jetstream', '--create-stream', '--subject', '<rule>'], /it begins with a token/],
])('refuses %j', (args, message) => {
  expect(() => parseCommandLine(args, {})).toThrow(message)
})
