// What can go wrong on Falco's side of the pipe.

import type { Falco } from './falco.ts'
import type { FaultTable } from './fault.ts'

/** What stands between alerts, by name. What has no newline is glued to the next line. */
const ODD_LINES: Readonly<Record<string, (bytes: number) => string>> = {
  blank: () => '\n',
  spaces: () => '   \n',
  banner: () => 'Tue Aug 11 09:12:01 2026: Falco version: 0.44.1 (x86_64)\r\n',
  statistics: () => '   WARNING: 3\n',
  'no alert': () => '{"priority":"Notice"}\n',
  fragment: () => '{"hostname":"node-1","outp',
  'two objects': () => '{"a":1}{"b":{}}\n',
  binary: () => '\0\u00ff\u2028\\"{\n',
  'long line': (bytes) => `${'x'.repeat(bytes)}\n`,
}

export const FALCO_FAULTS: FaultTable<Falco> = {
  burst: {
    draw: (random) => ({ ms: random.between(100, 5_000) }),
    strike: (falco, { ms }) => falco.burst(Number(ms)),
  },
  dies: {
    draw: (random) => ({ restartMs: random.between(10, 5_000) }),
    strike: (falco, { restartMs }) => falco.die(Number(restartMs)),
  },
  'dies mid-line': {
    draw: (random) => ({ bytes: random.between(1, 500), restartMs: random.between(10, 5_000) }),
    strike: (falco, { bytes, restartMs }) => falco.dieWithin(Number(bytes), Number(restartMs)),
  },
  stalls: {
    draw: (random) => ({
      bytes: random.onceIn(2) ? 0 : random.between(1, 500),
      ms: random.pick([20, 400, 600, 1_900, 2_500, 8_000]),
    }),
    strike: (falco, { bytes, ms }) => falco.stallWithin(Number(bytes), Number(ms)),
  },
  reloads: {
    draw: (random) => ({ timeoutMs: random.between(0, 2_000) }),
    strike: (falco, { timeoutMs }) => void falco.reload(Number(timeoutMs)),
  },
  'opens slowly': {
    draw: (random) => ({ ms: random.between(1, 8), forMs: random.between(10, 5_000) }),
    strike: (falco, { ms, forMs }) => falco.openSlowly(Number(ms), Number(forMs)),
  },
  'second writer': {
    draw: (random) => ({ ms: random.between(100, 5_000) }),
    strike: (falco, { ms }) => falco.addWriter(Number(ms)),
  },
  'odd line': {
    draw: (random) => ({
      what: random.pick(Object.keys(ODD_LINES)),
      bytes: random.between(500, 12_000),
    }),
    strike: (falco, { what, bytes }) =>
      falco.writeOdd(String(what), Buffer.from(ODD_LINES[String(what)]!(Number(bytes)))),
  },
  'pipe gone': {
    draw: (random) => ({ isRenamed: random.onceIn(2), mendMs: random.between(100, 10_000) }),
    strike: (falco, { isRenamed, mendMs }) => falco.losePipe(Boolean(isRenamed), Number(mendMs)),
  },
  'pipe replaced': {
    draw: () => ({}),
    strike: ({ pipe, path }) => void pipe.make(path),
  },
  'name of the next pipe taken': {
    draw: () => ({}),
    strike: ({ pipe, path }) => pipe.makeFile(`${path}.next`),
  },
}
