// --check: tries what forwarding needs, once, and prints what it found.

import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { PRIORITIES } from '../shared/alert/alert.ts'
import { messageOf, printable } from '../shared/errors.ts'
import { expiredIn, identityOf, readCredentials } from '../shared/nats/credentials.ts'
import type { Server } from '../shared/nats/servers.ts'
import { formatBytes } from '../shared/options/units.ts'
import type { Output } from '../shared/process/output.ts'
import { openSpool } from './buffer/spool/spool.ts'
import { streamTaking } from './delivery/jetstream/stream.ts'
import { addCommand, streamSettings } from './delivery/jetstream/stream-settings.ts'
import { type ClientSession, openSession } from './delivery/session.ts'
import { leftAdopted, lookUp } from './input/adoption.ts'
import { fifoExists } from './input/fifo.ts'
import { whyNotAside } from './input/set-aside.ts'
import type { Config } from './options.ts'

/** Prints a line for each thing tried. Returns 0 when forwarding would work, else 1. */
export async function check(config: Config, output: Pick<Output, 'write'>): Promise<0 | 1> {
  const { subject, minPriority, pipe, spoolDir, spoolBytes, jetstream } = config
  const passes = async (what: string, tryIt: () => string | Promise<string>): Promise<boolean> => {
    try {
      output.write(`ok    ${what}: ${await tryIt()}\n`)
      return true
    } catch (error) {
      output.write(`FAIL  ${what}: ${messageOf(error)}\n`)
      return false
    }
  }
  await passes('subject', () => `${subject.text}, from ${PRIORITIES[minPriority]} up`)
  const pipeOk = await passes('pipe', () => checkPipe(pipe, config.adoptFile))
  const spoolOk = !spoolDir || (await passes('spool', () => checkSpool(spoolDir, spoolBytes)))
  let serverOk = false
  // One server that answers is enough, but each is tried.
  for (const server of config.server) {
    const answers = await passes('server', () => checkServer(config, server))
    if (answers && (!jetstream || (await passes('stream', () => checkStream(config, server)))))
      serverOk = true
  }
  return pipeOk && spoolOk && serverOk ? 0 : 1
}

/** Does not open the pipe: a Falco that waits for a reader would write to us, and we go away. */
function checkPipe(path: string, adoptFile: boolean): string {
  if (path === '-') return 'standard input'
  const file = adoptFile ? lookUp(path) : undefined
  if (file !== undefined && file.name === path) {
    accessSync(dirname(path), constants.W_OK | constants.X_OK)
    return `${path} is a regular file of ${formatBytes(file.size)}; it will be forwarded, and a pipe made in its place`
  }
  if (fifoExists(path)) {
    accessSync(path, constants.R_OK | constants.W_OK)
    const reason = whyNotAside(path)
    const note = reason === undefined ? '' : `; at a stop it cannot be set aside: ${reason}`
    const left = leftAdopted(path)
    const first =
      left === undefined
        ? ''
        : `; ${left} is left of an earlier start${adoptFile ? ', and goes first' : ': --adopt-file forwards it'}`
    return `${path} is there, and we may read and write it${note}${first}`
  }
  let directory = dirname(path)
  while (!statSync(directory, { throwIfNoEntry: false })) directory = dirname(directory)
  accessSync(directory, constants.W_OK | constants.X_OK)
  return `${path} is not there; it can be made`
}

/** Opens it, and so makes it, as a start would. */
async function checkSpool(directory: string, limitBytes: number): Promise<string> {
  using spool = await openSpool(directory, limitBytes)
  const damaged = spool.damaged().alerts
  const found = [
    `${directory} takes ${formatBytes(limitBytes)}, ${spool.alerts()} alerts wait in it`,
    damaged > 0 && `${damaged} in damaged rows are kept aside`,
    spool.cutLog !== undefined && `its log was damaged, a copy is ${spool.cutLog}`,
    spool.movedAside !== undefined && `a damaged one is now ${spool.movedAside}`,
  ]
  return found.filter(Boolean).join('; ')
}

const checkServer = (config: Config, server: Server) =>
  trySession(config, server, (session) => {
    const limit = session.maxPayload
    const note =
      limit < config.maxLineBytes ? '; lines over that, though allowed here, are refused there' : ''
    return `${server.shown} is nats-server ${session.version}, TLS ${session.encrypted ? 'on' : 'off'}, max_payload ${formatBytes(limit)}${note}`
  })

/** Whether a stream takes the subjects of the template, by that of an alert that Falco never raises. */
const checkStream = (config: Config, server: Server) =>
  trySession(config, server, async ({ connection }) => {
    const subject = config.subject.text.replace('<priority>', 'notice').replace(/<[^>]*>/g, 'check')
    const settings = streamSettings(config)
    const stream = await streamTaking(connection, subject)
    if (stream === undefined && config.createStream)
      return `none takes ${subject} yet; ${settings.name} will be made for ${settings.subject}`
    if (stream === undefined)
      throw new Error(`no stream takes ${subject}; to make one: ${addCommand(settings)}`)
    if (config.stream !== undefined && stream !== config.stream)
      throw new Error(`${printable(stream)} takes ${subject}, not ${config.stream}`)
    return `${printable(stream)} takes ${subject}`
  })

type Try = (session: ClientSession) => string | Promise<string>

async function trySession(config: Config, server: Server, tryIt: Try): Promise<string> {
  try {
    const identity = identityOf(config, 'falco-nats')
    const never = new AbortController().signal
    const session = await openSession(server, readCredentials(config, server), identity, never)
    try {
      await Promise.race([session.confirm(), session.closed])
      if (!session.proven) throw new Error((await session.closed) ?? 'closed')
      return await tryIt(session)
    } finally {
      session.close()
    }
  } catch (error) {
    const reasons = [`${server.shown}: ${messageOf(error)}`, expiredIn(config)]
    throw new Error(reasons.filter(Boolean).join('; '))
  }
}
