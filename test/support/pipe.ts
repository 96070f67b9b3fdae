// The writer as a child, and what to expect of what it wrote.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import type { Received } from './nats.ts'
import { until } from './wait.ts'

const WRITER = new URL('./writer.ts', import.meta.url).pathname

export interface Writing extends AsyncDisposable {
  readonly child: ChildProcess
  /** Resolves with the exit code when all is written. */
  done(): Promise<number | null>
}

/** Waits for the pipe, then writes `file` (a path, or `numbered:N`) into it. */
export async function writePipe(
  pipe: string,
  file: string,
  mode: number | 'falco' | `falco@${number}`,
): Promise<Writing> {
  await until(`${pipe} is there`, () => statSync(pipe, { throwIfNoEntry: false })?.isFIFO())
  const child = spawn(process.execPath, [WRITER, pipe, file, String(mode)], { stdio: 'ignore' })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  return {
    child,
    done: () => exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** The numbers of numbered alerts: how many came twice or more, which are missing, the order. */
export function countNumbered(messages: readonly Received[], expected: number) {
  const seen = new Uint8Array(expected)
  let duplicates = 0
  let inOrder = true
  let highest = -1
  for (const { data } of messages) {
    const { n } = JSON.parse(data.toString()).output_fields
    if (seen[n]) duplicates++
    else {
      seen[n] = 1
      // A first arrival behind a later one would be a gap that was filled out of order.
      if (n < highest) inOrder = false
      highest = n
    }
  }
  return { missing: seen.reduce((sum, hit) => sum + (hit ? 0 : 1), 0), duplicates, inOrder }
}

/**
 * The subject that the Go tools would give, by code that shares nothing with ours; undefined where
 * we say more than they do (other scripts, very long names).
 */
export function expectedSubject(line: Buffer): string | undefined {
  const { priority, rule } = JSON.parse(line.toString()) as { priority: string; rule: string }
  const slug = rule
    .toLowerCase()
    .split(/[^a-z0-9]/)
    .filter(Boolean)
    .join('_')
  const ascii = Buffer.byteLength(rule) === rule.length
  return ascii && slug && slug.length <= 128 ? `falco.${priority.toLowerCase()}.${slug}` : undefined
}

/** Resolves when the writer has been blocked in write(2) for a while: the pipe is full and not read. */
export async function blocked({ child }: Writing): Promise<void> {
  let looks = 0
  await until('the writer is blocked', () => {
    const place = readFileSync(`/proc/${child.pid}/wchan`, 'utf8')
    looks = place.includes('pipe_write') ? looks + 1 : 0
    return looks > 30
  })
}
