// What the kernel knows of a process: its CPU time and its memory.

import { readdirSync, readFileSync } from 'node:fs'

const KIB_PER_MIB = 1024
const LOOK_EVERY_MS = 25

/** Seconds of all its threads, to the nanosecond; /proc/PID/stat has hundredths. */
export function cpuSeconds(pid: number): number {
  let sum = 0
  for (const thread of readdirSync(`/proc/${pid}/task`))
    try {
      sum += Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8'), 10)
    } catch {
      // That thread has just ended.
    }
  return sum / 1e9
}

/** In MiB: resident now, the most ever, and what of it is anonymous, that is shared with no file. */
export function memory(pid: number): { rss: number; peak: number; anon: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / KIB_PER_MIB
  return { rss: field('VmRSS'), peak: field('VmHWM'), anon: field('RssAnon') }
}

/** Those that this process has started, and that have not ended. */
export const children = (): number[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .map(Number)
    .filter(Boolean)

export const nameOf = (pid: number): string => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()

/** Looks again and again, since the kernel keeps no peak of anonymous memory. */
export function watchAnon(pid: number): Disposable & { peak(): number } {
  let peak = 0
  const look = () => {
    try {
      peak = Math.max(peak, memory(pid).anon)
    } catch {
      // It has ended, which whoever waits for it will say.
    }
  }
  const looking = setInterval(look, LOOK_EVERY_MS)
  return {
    peak: () => {
      look()
      return peak
    },
    [Symbol.dispose]: () => clearInterval(looking),
  }
}
