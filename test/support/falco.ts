// The real Falco, with a pipe, rules, a load and an address of its own: `FALCO` names its binary, whose directory
// also holds falco.yaml, rules/, libcontainer.so and load. What it prints is the reference for what is delivered.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  appendFileSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { constants as system } from 'node:os'
import { dirname, join } from 'node:path'
import { parse, stringify } from 'yaml'
import { freePort } from './nats.ts'
import { parseSamples } from './scrape.ts'
import { type TempDir, tempDir } from './temp.ts'
import { soon, until } from './wait.ts'

const FALCO = process.env.FALCO ?? ''
const beside = (name: string) => join(dirname(FALCO), name)

/** So often is looked for the alert of a probe before the next one. */
const LOOKS_A_PROBE = 300

/** Why the real Falco cannot run here; undefined where it can. */
export function whyNoFalco(): string | undefined {
  if (FALCO === '') return 'FALCO names no binary'
  if (process.getuid!() !== 0) return 'Falco needs root'
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'the kernel has no BTF'
  try {
    for (const name of ['falco.yaml', 'rules/falco_rules.yaml', 'libcontainer.so', 'load'])
      accessSync(beside(name))
    accessSync(FALCO, constants.X_OK)
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

/** As Falco prints it: `0.44.1 (x86_64)`. */
export const falcoVersion = (): string =>
  /Falco version: (.*)/.exec(spawnSync(FALCO, ['--version'], { encoding: 'utf8' }).stdout)![1]!

export const LOAD_RULE = 'Load open'
export const ODD_RULE = 'RF "odd" näme / 名前 <b>*>.$JS… 100%'
export const CHINESE_RULE = '中文规则'

/** Rules for files below `path`, in the order of the first one that matches. */
const rulesBelow = (path: string) =>
  Object.entries({
    load: { rule: LOAD_RULE, priority: 'DEBUG', tags: ['load'] },
    odd: { rule: ODD_RULE, priority: 'INFORMATIONAL', tags: ['odd', 'täg'] },
    zh: { rule: CHINESE_RULE, priority: 'CRITICAL', tags: [] },
    probe: { rule: 'Probe', priority: 'NOTICE', tags: [] },
  }).map(([directory, rule]) => ({
    ...rule,
    desc: `for each open of a path in ${directory}`,
    condition: `evt.type in (open,openat,openat2) and evt.arg.name startswith ${path}/${directory}/`,
    output: `${directory} „opened“ \\ | file=%evt.arg.name command=%proc.cmdline user=%user.name`,
  }))

/** A part of falco.yaml, which is laid over the rest of it. */
export type Settings = { readonly [key: string]: unknown }

function laidOver(below: unknown, above: unknown): unknown {
  const isMap = (value: unknown): value is Settings =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMap(below) || !isMap(above)) return above
  const merged: Record<string, unknown> = { ...below }
  for (const [key, value] of Object.entries(above)) merged[key] = laidOver(below[key], value)
  return merged
}

/** Opens files at a rate, from a process of its own. */
export interface FalcoLoad {
  /** Resolves with how many were opened. */
  done(): Promise<number>
}

export interface Falco extends AsyncDisposable {
  readonly dir: TempDir
  /** Where its file output writes: nothing is there at first. */
  readonly pipe: string
  /** Starts it (again). It sees little yet: `ready()`. */
  start(): void
  /** Resolves when it prints what it sees. It prints nothing while the pipe has no reader. */
  ready(): Promise<void>
  /** Opens a file whose alert is returned once it is printed, behind all that was opened before. */
  probe(): Promise<Buffer>
  /** Opens a file, whose alert ends in this, as `load` does. */
  open(directory: 'load' | 'odd' | 'zh', name: string): void
  /** Opens files in `load` for so many seconds, as fast as it can at rate 0. */
  load(rate: number, seconds: number): FalcoLoad
  /** The alerts that it has printed since its first start, as lines. Its pipe comes first: it has taken these. */
  printed(): readonly Buffer[]
  /** Other lines of standard output. */
  notes(): readonly string[]
  /**
   * How many alerts of a rule it has raised, written or not, by its own counts; undefined without a webserver. A run that is
   * killed takes its counts with it, and those of a run that a reload has ended are printed in front of the next alert.
   */
  raised(rule: string): Promise<number | undefined>
  /** Reads its configuration and rules again: by SIGHUP, or since the file of its rules changes. */
  reload(by: 'signal' | 'change'): void
  /** How many times it has begun to look at system calls: at each start and reload. */
  openings(): number
  log(): string
  kill(signal: NodeJS.Signals): void
  /** The exit code, as a shell gives it: 128 and the number of the signal. */
  exited(): Promise<number>
  isRunning(): boolean
  /** Resolves when its output has waited for a reader for a while. */
  blocked(where: 'open' | 'write'): Promise<void>
}

/** Makes its directory and configuration. `stdout` is a pipe that takes its standard output; then its file output is the reference. */
export async function prepareFalco(
  settings: Settings = {},
  { stdout }: { stdout?: string } = {},
): Promise<Falco> {
  const dir = tempDir()
  const port = await freePort()
  const pipe = dir.file('pipe/nats')
  const reference = dir.file('printed')
  for (const name of ['pipe', 'load', 'odd', 'zh', 'probe']) mkdirSync(dir.file(name))
  const rules = [dir.file('falco_rules.yaml'), dir.file('rules.yaml')] as const
  copyFileSync(beside('rules/falco_rules.yaml'), rules[0])
  writeFileSync(rules[1], stringify(rulesBelow(dir.path)))
  writeFileSync(reference, '')
  const ours = {
    rules_files: rules,
    // Either way its file comes before its standard output.
    file_output: { filename: stdout === undefined ? pipe : reference },
    webserver: { listen_port: port },
  }
  const base = parse(readFileSync(beside('falco.yaml'), 'utf8'))
  base.plugins[0].library_path = beside('libcontainer.so')

  let child: ChildProcess | undefined
  let ended: Promise<number> | undefined
  const loads = new Set<ChildProcess>()
  const alerts: Buffer[] = []
  const notes: string[] = []
  let at = 0
  let probes = 0
  const merged = laidOver(laidOver(base, ours), settings) as { webserver: { enabled: boolean } }
  writeFileSync(dir.file('falco.yaml'), stringify(merged))

  function look(): void {
    const bytes = readFrom(reference, at)
    const end = bytes.lastIndexOf(10) + 1
    at += end
    for (let start = 0; start < end; ) {
      const newline = bytes.indexOf(10, start)
      const line = bytes.subarray(start, newline)
      if (line[0] === 0x7b) alerts.push(line)
      else notes.push(line.toString())
      start = newline + 1
    }
  }

  /** Of its run since the last start or reload. */
  async function raisedNow(rule: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: soon() })
    let sum = 0
    for (const [series, value] of parseSamples(await response.text()))
      if (/_rules_matches_total\{/.test(series) && series.includes(`rule_name="${rule}"`))
        sum += value
    return sum
  }

  const falco: Falco = {
    dir,
    pipe,
    start() {
      const log = openSync(dir.file('log'), 'a')
      const out = openSync(stdout ?? reference, 'a')
      child = spawn(FALCO, ['-c', dir.file('falco.yaml')], {
        env: { PATH: process.env.PATH },
        stdio: ['ignore', out, log],
      })
      closeSync(log)
      closeSync(out)
      ended = once(child, 'exit').then(
        ([code, signal]) => code ?? 128 + system.signals[signal as NodeJS.Signals],
      )
    },
    async ready() {
      const printedBefore = falco.printed().length
      await until('Falco sees what is opened', () => {
        if (!falco.isRunning()) throw new Error(`Falco ended:\n${falco.log()}`)
        touch(dir.file(`probe/${probes++}`))
        return falco.printed().length > printedBefore
      })
      await falco.probe()
    },
    async probe() {
      const name = `${dir.file('probe')}/of-${probes++}-`
      let looks = 0
      return await until('Falco prints the alert of a probe', async () => {
        if (!falco.isRunning()) throw new Error(`Falco ended (${await ended}):\n${falco.log()}`)
        // On a busy machine Falco may drop what it should see.
        if (looks % LOOKS_A_PROBE === 0) touch(`${name}${looks}`)
        looks++
        return falco.printed().findLast((line) => line.includes(`"evt.arg.name":"${name}`))
      })
    },
    open: (directory, name) => touch(dir.file(`${directory}/${name}`)),
    load(rate, seconds) {
      const args = [dir.file('load'), String(rate), String(seconds)]
      const loading = spawn(beside('load'), args, { stdio: ['ignore', 'pipe', 'inherit'] })
      loads.add(loading)
      let said = ''
      loading.stdout.on('data', (text) => {
        said += text
      })
      const closed = once(loading, 'close').then(() => Number(/opens=(\d+)/.exec(said)?.[1]))
      return { done: () => closed }
    },
    printed() {
      look()
      return alerts
    },
    notes() {
      look()
      return notes
    },
    async raised(rule) {
      const start = `   ${rule}: `
      const ended = falco
        .notes()
        .filter((line) => line.startsWith(start))
        .reduce((sum, line) => sum + Number(line.slice(start.length)), 0)
      if (!merged.webserver.enabled) return undefined
      return ended + (falco.isRunning() ? await raisedNow(rule) : 0)
    },
    reload: (by) =>
      by === 'signal' ? void child!.kill('SIGHUP') : appendFileSync(rules[1], '# changed\n'),
    openings: () => falco.log().split("Opening 'syscall' source").length - 1,
    log: () => readFileSync(dir.file('log'), 'utf8'),
    kill: (signal) => void child!.kill(signal),
    exited: () => ended!,
    isRunning: () => child !== undefined && child.exitCode === null && child.signalCode === null,
    async blocked(where) {
      const places = where === 'write' ? ['pipe_write'] : ['wait_for_partner', 'fifo_open']
      let looks = 0
      await until(`Falco waits in ${where}`, () => {
        looks = waitingIn(child!.pid!).some((at) => places.some((place) => at.includes(place)))
          ? looks + 1
          : 0
        return looks > 30
      })
    },
    async [Symbol.asyncDispose]() {
      for (const loading of loads) loading.kill('SIGKILL')
      child?.kill('SIGKILL')
      await ended
      dir[Symbol.dispose]()
    },
  }
  return falco
}

/** The places in the kernel where its threads wait. */
function waitingIn(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8')
    } catch {
      // It has ended meanwhile.
      return ''
    }
  })
}

/** Opens what need not be there: the system call is what Falco sees. */
function touch(path: string): void {
  try {
    closeSync(openSync(path, 'r'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function readFrom(path: string, at: number): Buffer {
  const size = statSync(path).size - at
  if (size <= 0) return Buffer.alloc(0)
  const bytes = Buffer.alloc(size)
  const fd = openSync(path, 'r')
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, size, at))
  } finally {
    closeSync(fd)
  }
}
