// --adopt-file: what Falco wrote into a file, since it was first, goes before what it writes into the pipe.

import { messageOf } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { type Counters, held } from './accounting/counters.ts'
import type { Environment } from './environment.ts'
import { followAdopted, readAdopted } from './input/read-adopted.ts'
import type { ChunkSink } from './input/read-rest.ts'
import type { Source } from './input/source.ts'

/** How often it is looked whether all alerts of the file are confirmed. */
const LOOK_MS = 1_000

/** Takes the file from the pipe's place, if one is there. Undefined where there is none; throws a FatalError. */
export function adoptFile(
  path: string,
  readBytes: number,
  { clock, inputs }: Environment,
  counters: Counters,
  log: Logger,
) {
  const file = inputs.adopt(path)
  if (file === undefined) return undefined
  const { name, unkept } = file
  log.info({ file: name, bytes: file.size }, 'Falco was first: reading its file before the pipe')
  if (unkept !== undefined)
    log.warn({ reason: unkept }, 'the file has no name any more: a crash now would lose its alerts')
  let isSettled: (() => boolean) | undefined
  let isRemoved = false

  function removeIfSettled(): void {
    if (isRemoved || !isSettled?.()) return
    isRemoved = true
    file!.remove()
    log.info({ file: name }, 'all alerts of the file are confirmed or spooled: it is removed')
  }

  async function readFirst(buffer: Buffer, sink: ChunkSink, stop: AbortSignal): Promise<boolean> {
    try {
      return await readAdopted(clock, file!, buffer, sink, stop)
    } catch (error) {
      log.error({ file: name, reason: messageOf(error) }, 'the file cannot be read: it is kept')
      return false
    }
  }

  return {
    /** Reads the file, then the pipe by `pump`. */
    before:
      (pump: Source['pump']): Source['pump'] =>
      async (sink, stop, hurry) => {
        const buffer = Buffer.allocUnsafeSlow(readBytes)
        if (!(await readFirst(buffer, sink, stop))) return await pump(sink, stop, hurry)
        isSettled = settlement(counters)
        using _timer = clock.every(LOOK_MS, removeIfSettled)
        const late = followAdopted(clock, file, buffer, sink, () =>
          log.warn(
            { file: name },
            'Falco still writes to the file: it needs keep_alive: false, and a restart; what it writes after our end is lost',
          ),
        )
        const end = (isCutOff: boolean) => {
          late[Symbol.dispose]()
          sink.end(isCutOff)
        }
        await pump({ ...sink, end }, stop, hurry)
      },
    /** All that could be delivered is. */
    end(): void {
      removeIfSettled()
      file.close()
    },
  }
}

/**
 * Whether all alerts that are held now are delivered, spooled or counted, from then on: the oldest go first, and memory
 * overtakes only what is on the disk.
 */
function settlement(counters: Counters): () => boolean {
  const { delivered } = counters
  const before = held(counters)
  return () => held(counters) <= counters.spooled || counters.delivered - delivered >= before
}
