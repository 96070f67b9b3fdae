// Keeps the program running, as a kubelet or systemd would, and judges each of its ends.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type LogLine, memoryKiB, type Running } from './cli.ts'
import { expectBalanced, total } from './scrape.ts'
import { until } from './wait.ts'

/** Why the program may end: it is stopped, it is killed, or its pipe was taken away. */
export type Reason = 'stop' | 'kill' | 'pipe'

export interface Look {
  /** Alerts in memory alone, and on disk. */
  readonly memory: number
  readonly disk: number
  /** Whether reading pauses, so that the pipe fills. */
  readonly paused: boolean
}

export interface Supervisor {
  /** What must never happen: ends without a reason or a last line, books that do not balance. */
  readonly troubles: string[]
  /** The last line of each run that had one. */
  readonly goodbyes: LogLine[]
  /** Runs, by how they ended. */
  readonly ends: Map<string, number>
  /** Of all scrapes: the most memory, in KiB, and the longest time, in ms. */
  readonly worst: { rssKiB: number; scrapeMs: number; scrapes: number }
  /** The run of now, when it reads. */
  current(): Promise<Running>
  /** Ends the run of now for a reason, and waits for the next one to read. `act` is what makes it end. */
  end(reason: Reason, act: (run: Running) => void): Promise<void>
  /** Somebody takes all that the metrics port can give: it need not answer. */
  flooded: boolean
  /** Scrapes; undefined when it does not answer. */
  look(run: Running): Promise<Look | undefined>
  /** The last stop; nothing is started again. */
  finish(): Promise<LogLine | undefined>
}

const isAlive = ({ child }: Running) => child.exitCode === null && child.signalCode === null
const END_MS = 60_000
const PAUSE_MS = 500

export function supervise(start: () => Running): Supervisor {
  const troubles: string[] = []
  const goodbyes: LogLine[] = []
  const ends = new Map<string, number>()
  const worst = { rssKiB: 0, scrapeMs: 0, scrapes: 0 }
  let run = start()
  let reason: Reason | undefined
  let over = false
  /** What the run before left on disk, where that is known. */
  let left: number | undefined

  function trouble(text: string): void {
    if (troubles.includes(text)) return
    console.info(`trouble: ${text}`)
    troubles.push(text)
  }

  async function keep(): Promise<void> {
    while (!over) {
      // A log that nobody reads any more is to be read to its end.
      run.child.once('exit', () => run.child.stderr.resume())
      const code = await run.exited()
      judge(code)
      reason = undefined
      if (over) return
      await delay(PAUSE_MS)
      run = start()
    }
  }

  function judge(code: number | null): void {
    const why = reason ?? 'by itself'
    const how = `${why}: ${code ?? run.child.signalCode}`
    ends.set(how, (ends.get(how) ?? 0) + 1)
    const text = run.stderr()
    const notes = text.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
    if (notes.length > 0) trouble(`it printed: ${notes.join('\\n').slice(0, 500)}`)
    const log = run.log()
    const noted = (start: string) => log.some(({ msg }) => msg.startsWith(start))
    if (why === 'kill') {
      left = undefined
      return
    }
    const last = log.at(-1)
    if ((code !== 0 && code !== 1) || !last?.msg.startsWith('done: ')) {
      left = undefined
      trouble(`ended (${how}) without its last line: ${text.slice(-500)}`)
      return
    }
    goodbyes.push(last)
    if (reason === undefined) trouble(`ended by itself: ${last.msg}`)
    if ((last.left as number) < 0) trouble(`its sums do not add up: ${JSON.stringify(last)}`)
    if (noted('the spool cannot be used')) return
    if (left !== undefined && ((last.restored as number) ?? 0) < left)
      trouble(`${left} were left on disk, ${last.restored ?? 0} were restored`)
    left = (last.spooled as number) ?? 0
  }

  async function look(one: Running): Promise<Look | undefined> {
    const isThere = () => isAlive(one) && reason === undefined && !supervisor.flooded
    const since = performance.now()
    try {
      const samples = await expectBalanced(one)
      worst.rssKiB = Math.max(worst.rssKiB, memoryKiB(one.child.pid!))
      worst.scrapes++
      const sum = (name: string) => total(samples, `falco_nats_${name}`)
      return {
        memory: sum('buffer_alerts'),
        disk: sum('spool_alerts'),
        paused: sum('input_paused') === 1,
      }
    } catch (error) {
      const { name, message } = error as Error
      if (name === 'AssertionError') trouble(`its books do not balance: ${message}`)
      else if (isThere()) trouble(`no scrape: ${message}`)
      return undefined
    } finally {
      if (isThere()) worst.scrapeMs = Math.max(worst.scrapeMs, performance.now() - since)
    }
  }

  async function current(): Promise<Running> {
    return await until('it reads', () => {
      const reads = run.log().some(({ msg }) => msg.startsWith('reading'))
      return reads && isAlive(run) ? run : undefined
    })
  }

  async function watch(): Promise<void> {
    while (!over) {
      await look(await current())
      await delay(PAUSE_MS)
    }
  }

  const supervisor: Supervisor = {
    troubles,
    goodbyes,
    ends,
    worst,
    flooded: false,
    current,
    look,
    async end(why, act) {
      const one = await current()
      const gone = once(one.child, 'exit')
      reason = why
      act(one)
      const inTime = await Promise.race([gone, delay(END_MS, undefined)])
      if (inTime === undefined) {
        trouble(`did not end within ${END_MS / 1000} s (${why})`)
        reason = 'kill'
        one.child.kill('SIGKILL')
      }
      await one.exited()
      if (!over) await until('it is started again', () => run !== one)
      if (!over) await current()
    },
    async finish() {
      await current()
      over = true
      await supervisor.end('stop', ({ child }) => child.kill('SIGTERM'))
      await kept
      return goodbyes.at(-1)
    },
  }
  const kept = keep()
  void watch().catch((error) => trouble(String(error)))
  return supervisor
}
