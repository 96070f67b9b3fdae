// `npm run bench:outage`: what a flood costs while the server is away: memory, and disk where there is
// a spool. Prints a table; asserts nothing.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { writePipe } from '../test/support/pipe.ts'
import { tempDir } from '../test/support/temp.ts'
import { BUNDLE } from './support/program.ts'

const ALERTS = 1_000_000
const LOOKS_AT_SECONDS = [0, 2, 10]

console.log(`${ALERTS} alerts of 120 bytes, as fast as they are read; no server\n`)
console.log('                                  seconds   RSS MiB   spool MiB')
for (const more of [
  [],
  ['--spool-bytes', '64MiB'],
  ['--spool-bytes', '64MiB', '--when-full', 'drop'],
])
  await flood(more)

async function flood(more: string[]): Promise<void> {
  using dir = tempDir()
  const spool = dir.file('spool')
  const quiet = ['--log-level', 'silent', '--metrics-address', '127.0.0.1:0']
  const args = [BUNDLE, '-f', dir.file('nats'), '-s', 'nats://127.0.0.1:1', ...quiet]
  if (more.length > 0) args.push('--spool-dir', spool, ...more)
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  try {
    await using _writing = await writePipe(dir.file('nats'), `numbered:${ALERTS}`, 65536)
    let waited = 0
    for (const seconds of LOOKS_AT_SECONDS) {
      await delay((seconds - waited) * 1000)
      waited = seconds
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      const rss = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024
      const files = existsSync(spool) ? readdirSync(spool) : []
      const disk =
        files.reduce((sum, file) => sum + statSync(`${spool}/${file}`).size, 0) / 1024 ** 2
      const name = (more.join(' ') || 'without a spool').padEnd(37)
      console.log(
        `${name} ${String(seconds).padStart(3)} ${rss.toFixed(0).padStart(9)} ${disk.toFixed(1).padStart(11)}`,
      )
    }
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}
