// The container image, where the machine can build and run one. IMAGE_BUILD is a command that takes
// a directory and a tag, IMAGE_RUN one that takes a tag and arguments, and from the environment
// VOLUMES: `/host:/container`, separated by spaces. The program is to run below it, on the host's network.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from './wait.ts'

const { IMAGE_BUILD, IMAGE_RUN } = process.env
const REPOSITORY = new URL('../..', import.meta.url).pathname

export const canRunImages = IMAGE_BUILD !== undefined && IMAGE_RUN !== undefined
export const BUILD_TIMEOUT_MS = 600_000

/** Builds the image and gives the command that runs it. */
export async function buildImage(tag: string): Promise<string[]> {
  // One build at a time: they share the builder's storage.
  const lock = join(tmpdir(), 'falco-nats-test-image.lock')
  const build = [lock, ...IMAGE_BUILD!.split(' '), REPOSITORY, tag]
  await promisify(execFile)('flock', build, { timeout: BUILD_TIMEOUT_MS, maxBuffer: 2 ** 26 })
  return [...IMAGE_RUN!.split(' '), tag]
}

/** Sends SIGTERM to the program in the image: what runs images may not hand a signal on. */
export async function terminate(runner: number): Promise<void> {
  const isNode = (pid: number) => read(`/proc/${pid}/cmdline`).startsWith('/nodejs/bin/node\0')
  const inside = () => descendants(runner).find(isNode)
  process.kill(await until('the program in the image runs', inside), 'SIGTERM')
}

function descendants(pid: number): number[] {
  // Each thread has its own.
  const children = list(`/proc/${pid}/task`).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
  return children.flatMap((child) => [child, ...descendants(child)])
}

// Both are empty when the process has ended in the meantime.
const list = (path: string) => (existsSync(path) ? readdirSync(path) : [])
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
