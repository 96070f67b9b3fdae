import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../src/forward/command-line.ts'
import { type Config, OPTIONS } from '../../src/forward/options.ts'
import { UsageError } from '../../src/shared/errors.ts'
import { envName } from '../../src/shared/options/table.ts'
import { OPTION_TEXTS } from '../support/options.ts'

function configOf(argv: string[], env: Record<string, string> = {}): Config {
  const invocation = parseCommandLine(argv, env)
  if (invocation.run !== 'forward' && invocation.run !== 'check') throw new Error(invocation.run)
  return invocation.config
}

describe('parseCommandLine', () => {
  it('has the documented defaults', () => {
    expect(configOf([])).toMatchObject({
      pipe: '/var/run/falco/nats',
      server: [{ address: '127.0.0.1:4222' }],
      subject: { text: 'falco.<priority>.<rule>' },
      minPriority: 7,
      dropInternal: false,
      maxLineBytes: 1048576,
      batchBytes: 262144,
      drainTimeout: 10_000,
      tlsfirst: false,
      dryRun: false,
      logLevel: 'info',
      creds: undefined,
      connectionName: undefined,
    })
  })

  it('prefers the flag, then our variable, then the one of the nats CLI', () => {
    const env = { FALCO_NATS_SERVER: 'ours', NATS_URL: 'theirs' }
    expect(configOf(['-s', 'flag'], env).server[0]!.address).toBe('flag:4222')
    expect(configOf([], env).server[0]!.address).toBe('ours:4222')
    expect(configOf([], { NATS_URL: 'theirs' }).server[0]!.address).toBe('theirs:4222')
  })

  it('reads every option from FALCO_NATS_<FLAG>', () => {
    expect(Object.keys(OPTION_TEXTS).sort()).toEqual(Object.keys(OPTIONS).sort())
    const env = Object.fromEntries(
      Object.entries(OPTION_TEXTS).map(([key, text]) => [envName(key), text]),
    )
    expect(configOf([], env)).toMatchObject({
      pipe: '-',
      user: 'u',
      passwordFile: '/p',
      password: 'p',
      tlsca: '/ca',
      tlscert: '/c',
      tlskey: '/k',
      tlsfirst: true,
      headers: 'on',
      addHeader: [['a', 'b']],
      jetstream: true,
      stream: 'S',
      createStream: true,
      streamMaxAge: 86_400_000,
      duplicateWindow: 60_000,
      maxInFlight: 10,
      inboxPrefix: '_INBOX_x',
      minPriority: 6,
      dropInternal: true,
      maxLineBytes: 2048,
      batchBytes: 4096,
      drainTimeout: 3000,
      metricsAddress: { text: '[::1]:80', host: '::1', port: 80 },
      falcoEvents: 'full',
      maxSeries: 50,
      connectionName: 'n',
      dryRun: true,
      check: false,
      logLevel: 'warn',
      logFormat: 'json',
      creds: undefined,
      token: undefined,
    })
  })

  it('ignores variables that only look like ours', () => {
    const env = {
      FALCO_NATS_PORT: 'tcp://10.0.0.1:4222',
      FALCO_NATS_SERVICE_HOST: 'x',
      NATS_PORT: 'y',
    }
    expect(configOf([], env)).toEqual(configOf([]))
    const flags = Object.values(OPTIONS).map((row) => ('flags' in row ? row.flags : ''))
    expect(flags.join(' ')).not.toMatch(/--(port|service)/)
  })

  it('treats an empty variable as unset', () => {
    expect(configOf([], { FALCO_NATS_SERVER: '', NATS_URL: '' }).server[0]!.address).toBe(
      '127.0.0.1:4222',
    )
  })

  it.each([
    [
      ['--min-priority', 'foo'],
      {},
      /^--min-priority "foo": allowed: emergency, .*debug \(or info\)$/,
    ],
    [['--max-line-bytes', '1'], {}, /^--max-line-bytes "1": allowed: a size from 1 KiB to 8 MiB/],
    [['--batch-bytes', 'x'], {}, /^--batch-bytes "x": allowed/],
    [['--drain-timeout', '10'], {}, /^--drain-timeout "10": allowed: a duration such as/],
    [['--subject', 'falco.*'], {}, /^--subject "falco\.\*": .*wildcards/],
    [['--subject', 'a b'], {}, /^--subject "a b": blanks/],
    [['--server', 'http://x'], {}, /^--server "http:\/\/x": allowed: nats:\/\/host:port/],
    [['-f', ''], {}, /^--pipe "": it must not be empty/],
    [['--log-level', 'loud'], {}, /^--log-level "loud": allowed: trace, debug/],
    [['--log-format', 'xml'], {}, /^--log-format "xml": allowed: json, pretty/],
    [[], { FALCO_NATS_MIN_PRIORITY: 'foo' }, /^FALCO_NATS_MIN_PRIORITY "foo": allowed/],
    [[], { NATS_URL: 'x://y' }, /^NATS_URL "x:\/\/y": allowed/],
    [[], { FALCO_NATS_TLSFIRST: 'maybe' }, /^FALCO_NATS_TLSFIRST "maybe": allowed: true or false/],
    [['--nope'], {}, /^unknown option '--nope'.*; falco-nats --help/],
    [['--pipe'], {}, /^option '-f, --pipe <path>' argument missing;/],
    [['surplus'], {}, /^too many arguments/],
    [['sample', '--count', '-1'], {}, /--count "-1": allowed: a whole number/],
    [['sample', '--rate', 'x'], {}, /^--rate "x": allowed: a whole number/],
    [['--creds', 'a', '--nkey', 'b'], {}, /^--creds and --nkey are given; allowed: one of them/],
    [['--creds', 'a'], { NATS_TOKEN: 't' }, /^--creds and --token-file or NATS_TOKEN are given/],
    [['--password-file', 'a'], {}, /without --user/],
    [['--tlscert', 'a'], {}, /--tlskey/],
    [['--stream', 'S'], {}, /^--stream is given without --jetstream/],
    [['--create-stream'], {}, /^--create-stream is given without --jetstream/],
    [['--max-in-flight', '9'], {}, /^--max-in-flight is given without --jetstream/],
    [['--jetstream', '--stream-max-age', '0'], {}, /^--stream-max-age is .* --create-stream/],
    [['--jetstream', '--duplicate-window', '1m'], {}, /^--duplicate-window is .* --create-stream/],
    [
      ['--jetstream', '--create-stream', '--subject', '<rule>.x'],
      {},
      /^--create-stream with --subject <rule>\.x: it begins with a token/,
    ],
    [
      ['--jetstream', '--create-stream', '--stream-max-age', '1m'],
      {},
      /^--duplicate-window is longer than --stream-max-age/,
    ],
    [['--jetstream', '--stream', 'a.b'], {}, /^--stream "a\.b": allowed: a name/],
    [['--adopt-file', '--dry-run'], {}, /^--adopt-file and --dry-run are given; allowed: one/],
    [['--adopt-file', '-f', '-'], {}, /^--adopt-file is given with --pipe -; allowed: only with/],
    [['--max-in-flight', '0'], {}, /^--max-in-flight "0": allowed: a whole number from 1 to/],
    [['--headers', 'yes'], {}, /^--headers "yes": allowed: on, off/],
    [['--add-header', 'Nats-Msg-Id=1'], {}, /^--add-header "Nats-Msg-Id=1": names that begin/],
  ])('ends at once with one line for %j %j', (argv, env, message) => {
    expect(() => parseCommandLine(argv, env)).toThrow(UsageError)
    expect(() => parseCommandLine(argv, env)).toThrow(message)
    expect(() => parseCommandLine(argv, env)).not.toThrow(/\n/)
  })

  it.each([
    [['-s', 'http://user:s3cr3t@x,nats://y'], {}, /"\*\*\*@x,nats:\/\/y"/],
    [['-s', 'nats://user:pa/s3cr3t@x'], {}, /"\*\*\*@x"/],
    [['-s', 'nats://user:s3cr3t%zz@x'], {}, /percent-encoded/],
    [[], { NATS_URL: 'nats://bob:s3cr3t,x@h' }, /^NATS_URL "\*\*\*@h"/],
    [['--creds', 'a'], { NATS_TOKEN: 's3cr3t' }, /NATS_TOKEN are given/],
    [['--password=s3cr3t'], {}, /unknown option '--password=\.\.\.'/],
  ])('shows no secret of %j %j', (argv, env, message) => {
    expect(() => configOf(argv, env as Record<string, string>)).toThrow(message)
    expect(() => configOf(argv, env as Record<string, string>)).not.toThrow(/s3cr3t/)
  })

  it('escapes what it shows', () => {
    expect(() => configOf(['--min-priority', 'a\x1b[31m\u202e'])).toThrow(
      /^--min-priority "a\\u001b\[31m\\u\{202e\}"/,
    )
  })

  it('knows --help, --version, --check and sample', () => {
    const help = parseCommandLine(['--help'], {})
    for (const [key, row] of Object.entries(OPTIONS)) {
      expect(help).toHaveProperty('text', expect.stringContaining(envName(key)))
      if ('flags' in row)
        expect(help).toHaveProperty('text', expect.stringContaining(row.flags as string))
    }
    expect(parseCommandLine(['--version'], {})).toEqual({
      run: 'print',
      text: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
    expect(parseCommandLine(['--check'], {}).run).toBe('check')
    expect(parseCommandLine(['sample', '--count', '5'], {})).toEqual({
      run: 'sample',
      config: { count: 5, rate: 0 },
    })
    expect(parseCommandLine(['sample', '--help'], {}).run).toBe('print')
  })
})
