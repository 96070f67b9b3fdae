// What happens to the real Falco, falco-nats and NATS, a row each. The test and docs/falco-measured.md are made from them.

import { CHINESE_RULE, LOAD_RULE, ODD_RULE } from '../support/falco.ts'
import type { Scenario, Step } from './stage.ts'

const STOCK = 'Read sensitive file untrusted'
/** Full after 0.4 s of 1,000 alerts a second. */
const SMALL = ['--buffer-bytes', '256KiB', '--batch-bytes', '32KiB']
/** A stop that waits for Falco to end its write on a busy machine, and for nothing else. */
const SOON = ['--drain-timeout', '2s']
const THROWN_AWAY = 'discarding all remaining notifications'
const KEPT_OPEN = { file_output: { keep_alive: true } }
const NO_WEBSERVER = { webserver: { enabled: false } }

/** Falco as it ships, and as others have set it: all that changes what it prints. */
const TALKATIVE = {
  time_format_iso_8601: true,
  json_include_message_property: true,
  append_output: [
    { suggested_output: true },
    {
      extra_output: 'read=%evt.is_open_read',
      extra_fields: ['proc.pid', { rule: 'of %proc.name' }],
    },
  ],
  metrics: { enabled: true, interval: '500ms', output_rule: true },
  syscall_event_drops: {
    threshold: 0.1,
    actions: ['log', 'alert'],
    rate: 10,
    max_burst: 10,
    simulate_drops: true,
  },
}

/** falco-nats is ended three times and started again, under load. */
const thrice = (end: 'stop' | 'kill'): Step[] => {
  const once: Step[] = [['load', 1000, 1.5], ['arrived', 200], [end], ['start']]
  return [...once, ...once, ...once]
}

/** NATS goes under load, and comes back under load. */
const without = (end: 'kill' | 'freeze', begin: 'start' | 'thaw'): Step[] => [
  ['load', 1000, 2],
  ['arrived', 200],
  ['nats', end],
  ['load', 1000, 1.5],
  ['written', 200],
  ['nats', begin],
]

/** A restart of falco-nats while NATS is away. */
const STOPPED_WITHOUT_NATS: readonly Step[] = [
  ['nats', 'stop'],
  ['load', 1000, 1],
  ['written', 200],
  ['stop'],
  ['start'],
  ['load', 1000, 1],
  ['written', 200],
]

const reloaded = (by: 'signal' | 'change'): Step[] => [
  ['load', 1000, 3],
  ['arrived', 200],
  ['reload', by],
  ['reloaded'],
  ['seen'],
  ['load', 1000, 0.5],
]

/** falco-nats ends and comes back, which Falco does not see before it reopens its output. */
const reopened = (end: 'stop' | 'kill'): Step[] => [
  ['load', 1000, 1],
  ['arrived', 200],
  [end],
  ['start'],
  ['load', 1000, 1],
  ['written', 200],
  ['signal', 'SIGUSR1'],
  ['load', 1000, 1],
  ['arrived', 200],
]

/** NATS goes, and the load fills buffer and pipe until Falco waits. */
const FULL: readonly Step[] = [
  ['nats', 'stop'],
  ['load', 1000, 2],
  ['blocked', 'write'],
]

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'the pipe, and names that are hard to make a subject of',
    happens: [['oddities'], ['load', 1000, 1], ['eventsCounted']],
    rules: [STOCK, ODD_RULE, CHINESE_RULE, LOAD_RULE],
  },
  {
    name: 'the pipe, as fast as Falco can, into a stream',
    jetstream: true,
    happens: [['load', 0, 0.3]],
  },
  {
    name: 'SIGTERM, three times',
    happens: thrice('stop'),
  },
  {
    name: 'SIGKILL, three times',
    happens: thrice('kill'),
    loss: 'killed',
  },
  {
    name: 'SIGKILL, three times, with a spool',
    spool: true,
    happens: thrice('kill'),
    loss: 'killed',
  },
  {
    name: 'NATS is killed and started',
    jetstream: true,
    happens: without('kill', 'start'),
  },
  {
    name: 'NATS is killed and started, with a spool',
    jetstream: true,
    spool: true,
    happens: without('kill', 'start'),
  },
  {
    name: 'NATS is frozen for a while',
    happens: without('freeze', 'thaw'),
  },
  {
    name: 'NATS is frozen for a while, with a spool',
    jetstream: true,
    spool: true,
    happens: without('freeze', 'thaw'),
  },
  {
    name: 'NATS is away, and falco-nats is stopped meanwhile, with a spool',
    spool: true,
    options: SOON,
    happens: STOPPED_WITHOUT_NATS,
  },
  {
    name: 'NATS is away, and falco-nats is stopped meanwhile, without one',
    options: SOON,
    happens: STOPPED_WITHOUT_NATS,
    counted: 'left',
  },
  {
    name: 'NATS is away until Falco waits',
    options: SMALL,
    happens: [...FULL, ['nats', 'start']],
  },
  {
    name: 'NATS is away, `--when-full drop`',
    options: [...SMALL, '--when-full', 'drop'],
    happens: [['nats', 'stop'], ['load', 1000, 2], ['loaded'], ['nats', 'start']],
    counted: 'dropped',
  },
  {
    name: 'a stop with a full buffer, and Falco waits in its write',
    options: [...SMALL, ...SOON],
    happens: [...FULL, ['stop'], ['blocked', 'open']],
    counted: 'left',
  },
  {
    name: 'a stop with a full buffer, with a spool',
    spool: true,
    options: [...SMALL, ...SOON, '--spool-bytes', '4MiB'],
    happens: [
      ['nats', 'stop'],
      ['load', 4000, 3],
      ['blocked', 'write'],
      ['stop'],
      ['blocked', 'open'],
    ],
  },
  {
    name: 'SIGHUP of Falco',
    happens: reloaded('signal'),
  },
  {
    name: "a change of Falco's rules",
    happens: reloaded('change'),
  },
  {
    name: 'SIGHUP of Falco while it waits, since NATS is away',
    options: SMALL,
    happens: [
      ...FULL,
      ['loaded'],
      ['reload', 'signal'],
      ['logged', THROWN_AWAY],
      ['nats', 'start'],
      ['reloaded'],
      ['seen'],
    ],
    loss: 'queue',
  },
  {
    name: 'SIGHUP of Falco, NATS is away, `--when-full drop`',
    options: [...SMALL, '--when-full', 'drop'],
    happens: [
      ['nats', 'stop'],
      ['load', 1000, 2],
      ['loaded'],
      ['reload', 'signal'],
      ['reloaded'],
      ['seen'],
      ['nats', 'start'],
    ],
    counted: 'dropped',
  },
  {
    name: "a change of Falco's rules while falco-nats is stopped",
    happens: [
      ['load', 1000, 0.5],
      ['arrived', 200],
      ['stop'],
      ['load', 1000, 0.5],
      ['loaded'],
      ['blocked', 'open'],
      ['reload', 'change'],
      ['logged', THROWN_AWAY],
      ['start'],
      ['reloaded'],
      ['seen'],
    ],
    loss: 'queue',
  },
  {
    name: 'SIGTERM of Falco',
    happens: [
      ['load', 1000, 2],
      ['arrived', 200],
      ['signal', 'SIGTERM'],
      ['falcoEnds', 0],
      ['falcoAgain'],
    ],
  },
  {
    name: 'SIGKILL of Falco',
    happens: [
      ['load', 1000, 2],
      ['arrived', 200],
      ['signal', 'SIGKILL'],
      ['falcoEnds', 137],
      ['falcoAgain'],
    ],
  },
  {
    name: 'falco-nats as another user than Falco',
    user: 'nobody',
    spool: true,
    happens: thrice('stop'),
  },
  {
    name: 'standard input',
    input: 'stdin',
    happens: [['oddities'], ['load', 1000, 1]],
    rules: [STOCK, ODD_RULE, CHINESE_RULE, LOAD_RULE],
  },
  {
    name: "Falco's own alerts: metrics and drops; ISO times, more fields",
    falco: TALKATIVE,
    happens: [
      ['load', 1000, 1],
      ['oddities'],
      ['printed', 'Falco internal: metrics snapshot'],
      ['printed', 'Falco internal: syscall event drop'],
    ],
    rules: [STOCK, 'Falco internal: metrics snapshot', 'Falco internal: syscall event drop'],
  },
  {
    name: 'Falco was first, and has written a file',
    falco: {},
    falcoFirst: true,
    happens: [
      ['load', 500, 1],
      ['written', 100],
      ['refused'],
      ['replaceFile'],
      ['start'],
      ['load', 500, 1],
      ['written', 100],
      ['feedFile'],
    ],
  },
  {
    name: '`keep_alive: true`, SIGTERM, then SIGUSR1 to Falco',
    falco: KEPT_OPEN,
    happens: reopened('stop'),
    loss: 'closed',
  },
  {
    name: '`keep_alive: true`, SIGKILL, then SIGUSR1 to Falco',
    falco: KEPT_OPEN,
    happens: reopened('kill'),
    loss: 'closed',
  },
  {
    name: 'no webserver: SIGTERM while Falco waits in its write',
    falco: NO_WEBSERVER,
    options: [...SMALL, ...SOON],
    happens: [...FULL, ['stop'], ['blocked', 'open']],
    counted: 'left',
  },
  {
    name: 'no webserver: SIGKILL while Falco waits in its write',
    falco: NO_WEBSERVER,
    options: SMALL,
    happens: [...FULL, ['kill'], ['falcoEnds', 141]],
    loss: 'ended',
  },
  {
    name: 'no webserver, `keep_alive: true`: SIGTERM',
    falco: { ...NO_WEBSERVER, ...KEPT_OPEN },
    happens: [
      ['load', 1000, 2],
      ['arrived', 200],
      ['stop'],
      ['load', 100, 0.5],
      ['falcoEnds', 141],
    ],
    loss: 'ended',
  },
]
