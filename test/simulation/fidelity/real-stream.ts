// The stream of a script at a real server, and what an operator does with it.

import { askJetStream, readStream } from '../../support/nats.ts'
import { numberIn } from '../alerts.ts'
import { DUPLICATE_WINDOW_MS, STREAM, type Stream } from './ground.ts'
import { adminOf } from './real-server.ts'
import type { Script } from './script.ts'

export function createRealStream(url: string, script: Script) {
  const { maxMsgSize } = script.config
  const admin = adminOf(script)
  const ask = (operation: string, request = {}) => askJetStream(url, operation, request, admin)
  /** In the order of the stream, and before them what others had that are gone. */
  const stored: number[] = []
  let current = STREAM

  /** Before it is gone. */
  async function collect(): Promise<void> {
    for (const { data } of await readStream(url, current, admin))
      stored.push(numberIn(data.toString('latin1'))!)
  }

  async function change(more: object): Promise<void> {
    const { config } = await ask(`STREAM.INFO.${current}`)
    await ask(`STREAM.UPDATE.${current}`, { ...config, ...more })
  }

  const stream: Stream = {
    async make(name, duplicateWindowMs = DUPLICATE_WINDOW_MS) {
      current = name
      await ask(`STREAM.CREATE.${name}`, {
        ...{ name, subjects: ['falco.>'], storage: 'file', retention: 'limits' },
        duplicate_window: duplicateWindowMs * 1e6,
        ...(maxMsgSize > 0 && { max_msg_size: maxMsgSize }),
      })
    },
    async remove() {
      await collect()
      await ask(`STREAM.DELETE.${current}`)
      current = STREAM
    },
    async fill(room) {
      const { state } = await ask(`STREAM.INFO.${current}`)
      await change({ max_msgs: state.messages + room, discard: 'new' })
    },
    async purge() {
      await collect()
      await ask(`STREAM.PURGE.${current}`)
      await change({ max_msgs: -1 })
    },
  }
  return {
    ...stream,
    /** All that was ever stored. */
    async everything(): Promise<readonly number[]> {
      await collect()
      return stored
    },
  }
}
