// The program with --jetstream: a server, its files, and how the program is started against it.

import type { Running } from './cli.ts'
import { startNats } from './nats.ts'
import { tempDir } from './temp.ts'

/** A server with JetStream, its files, and how the program is started against it. */
export async function setUp({ config = '' } = {}) {
  const dir = tempDir()
  const server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }\n${config}`)
  const args = ['-f', '-', '-s', server.url, '--jetstream']
  return {
    server,
    args,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      dir[Symbol.dispose]()
    },
  }
}

export const warnings = (running: Pick<Running, 'log'>) =>
  running.log().filter(({ level }) => level === 'warn')

export const complete = { missing: 0, duplicates: 0, inOrder: true }
