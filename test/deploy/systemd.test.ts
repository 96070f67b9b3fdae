// deploy/systemd: systemd reads the unit and finds it tight, and what the unit starts works: its
// commands and environment are acted out, since a test has no systemd to run it.

import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { nkeys } from 'nats'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { falcoNats, MAIN, stopped } from '../support/cli.ts'
import { fixturePath } from '../support/fixtures.ts'
import { startNats } from '../support/nats.ts'
import { writePipe } from '../support/pipe.ts'
import { tempDir } from '../support/temp.ts'

const DIRECTORY = new URL('../../deploy/systemd/', import.meta.url).pathname
const textOf = (name: string) => readFileSync(DIRECTORY + name, 'utf8')
const UNIT = textOf('falco-nats.service')
/** All values of a setting of the unit, in order. */
const all = (name: string) =>
  [...UNIT.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map((match) => match[1]!)
const only = (name: string) => {
  expect(all(name), name).toHaveLength(1)
  return all(name)[0]!
}

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0
if (!hasSystemd)
  console.warn('skipped: what systemd thinks of the unit: no systemd-analyze on PATH')

describe.skipIf(!hasSystemd)('systemd', () => {
  /** Our unit, where its programs are, beside a Falco with our drop-in. */
  function units(unit = UNIT) {
    const dir = tempDir()
    const here = unit.replaceAll('/usr/bin/node', process.execPath)
    writeFileSync(dir.file('falco-nats.service'), here)
    writeFileSync(dir.file('falco.service'), '[Service]\nExecStart=/bin/true\n')
    cpSync(`${DIRECTORY}falco.service.d`, dir.file('falco.service.d'), { recursive: true })
    return dir
  }
  const analyze = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    return { status, said: stdout + stderr }
  }
  const verify = (unit?: string) => {
    using dir = units(unit)
    return analyze('verify', '--man=no', dir.file('falco-nats.service'), dir.file('falco.service'))
  }

  it('reads the unit and the drop-in, and has nothing to say', () => {
    expect(verify()).toEqual({ status: 0, said: '' })
  })

  it('would say what is wrong', () => {
    expect(verify(UNIT.replace('LockPersonality', 'LokPersonality')).said).toMatch(/LokPersonality/)
  })

  it('finds it tight', () => {
    using dir = units()
    const args = ['security', '--offline=true', '--threshold=20', dir.file('falco-nats.service')]
    const { status, said } = analyze(...args)
    expect(said).toMatch(/Overall exposure level for falco-nats.service: 1\.\d OK/)
    expect(status).toBe(0)
  })
})

it('starts before Falco, which waits for it but does without', () => {
  expect(only('Before')).toBe('falco.service')
  const dropIn = textOf('falco.service.d/falco-nats.conf')
  expect(dropIn).toMatch(/^Wants=falco-nats\.service$/m)
  expect(dropIn).toMatch(/^After=falco-nats\.service$/m)
  expect(dropIn).not.toMatch(/^(Requires|BindsTo)=/m)
  // With its webserver off, Falco leaves SIGPIPE as it finds it.
  expect(dropIn).toMatch(/^\[Service\]\n(#.*\n)*IgnoreSIGPIPE=yes$/m)
})

it('tells Falco of the same pipe, opened for each alert', () => {
  const { json_output, file_output } = parse(textOf('config.d/falco-nats.yaml'))
  const pipe = /FALCO_NATS_PIPE=(\S+)/.exec(all('Environment').join(' '))![1]!.replace('%t', '/run')
  expect(json_output).toBe(true)
  expect(file_output).toEqual({ enabled: true, keep_alive: false, filename: pipe })
  expect(only('RuntimeDirectoryPreserve')).toBe('yes')
})

it('delivers with the commands, the environment and the credentials of the unit', async () => {
  using dir = tempDir()
  const user = nkeys.createUser()
  const tls = (name: string) => fixturePath(`tls/${name}`)
  await using server = await startNats(`
    tls { cert_file: "${tls('server.crt')}", key_file: "${tls('server.key')}" }
    authorization { users: [{ nkey: ${user.getPublicKey()} }] }`)

  // As systemd does it: directories, credentials by LoadCredential, specifiers, variables.
  const [id, source] = only('LoadCredential').split(':')
  expect(source).toBe('/etc/falco-nats/credentials')
  mkdirSync(dir.file(only('RuntimeDirectory')))
  writeFileSync(dir.file(`${id}_nats.nk`), user.getSeed())
  copyFileSync(tls('ca.crt'), dir.file(`${id}_ca.crt`))
  const placed = (text: string) =>
    text.replace(/%[tS]/g, dir.path).replaceAll('/run/credentials/falco-nats.service', dir.path)
  const variables = [
    ...textOf('falco-nats.env').split('\n'),
    ...all('Environment').join(' ').split(' '),
  ]
    .filter((line) => /^[A-Z_]+=/.test(line))
    .map((line) => placed(line).split('=') as [string, string])
  const env: Record<string, string> = {
    ...Object.fromEntries(variables),
    FALCO_NATS_SERVER: `tls://localhost:${server.port}`,
  }

  const [mkfifo, ...args] = placed(only('ExecStartPre')).replace(/^-/, '').split(' ')
  execFileSync(mkfifo!, args)
  expect(statSync(env.FALCO_NATS_PIPE!).mode & 0o777).toBe(0o622)
  expect(only('ExecStart')).toMatch(/^\/usr\/bin\/node \/\S+\.js$/)
  await using running = falcoNats([], { env, program: [process.execPath, MAIN] })
  await using writing = await writePipe(env.FALCO_NATS_PIPE!, fixturePath('alerts.jsonl'), 'falco')
  expect(await writing.done()).toBe(0)
  expect(await stopped(running)).toMatchObject({ code: 0, last: { read: 300, delivered: 300 } })
  // For a Falco that goes on.
  expect(statSync(env.FALCO_NATS_PIPE!).isFIFO()).toBe(true)
})
