// The client's connection with a check between server and client (protocol-check.ts).

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  type ConnectionOptions,
  NatsConnectionImpl,
  type ServerInfo,
  setTransportFactory,
} from 'nats'
import { NodeTransport, nodeResolveHost } from 'nats/lib/node_transport.js'
import { createWire, type Wire } from './protocol-check.ts'

export interface CheckedOptions extends ConnectionOptions {
  /** The largest message that is taken. */
  readonly payloadBytesMax?: number
  /** Called for each connection that is dialled. */
  readonly onWire?: (wire: Wire) => void
}

/** `connect` of the client, but anything other than the NATS protocol ends the connection at once. */
export function connectChecked(options: CheckedOptions) {
  setTransportFactory({ factory: () => new CheckedTransport(), dnsResolveFn: nodeResolveHost })
  return NatsConnectionImpl.connect(options)
}

/** The client compares the socket's class, which would load TLS even where it is not used. */
export const isEncrypted = (socket: Socket | undefined): boolean =>
  (socket as Partial<TLSSocket> | undefined)?.encrypted === true

class CheckedTransport extends NodeTransport {
  wire!: Wire

  override connect(
    server: Parameters<NodeTransport['connect']>[0],
    options: CheckedOptions,
  ): Promise<void> {
    this.wire = createWire(options.payloadBytesMax)
    options.onWire?.(this.wire)
    return super.connect(server, options)
  }

  override isEncrypted(): boolean {
    return isEncrypted(this.socket)
  }

  /** Of what comes before TLS or CONNECT only the first INFO counts. */
  override peekInfo(): Promise<ServerInfo> {
    const { socket, wire } = this
    let lost = new Error('the server closed the connection')
    const peeked = new Promise<ServerInfo>((resolve, reject) => {
      socket
        .on('data', (chunk: Buffer) => {
          this.pass(chunk, reject)
          if (wire.info) resolve(wire.info)
          else if (wire.serverError !== undefined) reject(new Error(wire.serverError))
        })
        .on('error', (error) => (lost = error))
        .on('close', () => reject(lost))
    })
    return peeked.finally(() => socket.removeAllListeners())
  }

  /** What follows INFO in clear could be of another than the server, and would be taken for its own. */
  override async startTLS(): ReturnType<NodeTransport['startTLS']> {
    const { isOnlyInfo, serverError } = this.wire
    if (!isOnlyInfo()) throw new Error(serverError ?? 'the server sends more than INFO before TLS')
    // The client reads its files first, and listens to nothing meanwhile.
    const lost = Promise.withResolvers<never>()
    this.socket.on('error', lost.reject)
    return await Promise.race([super.startTLS(), lost.promise])
  }

  override setupHandlers(): void {
    super.setupHandlers()
    const { socket } = this
    socket.removeAllListeners('data')
    socket.on('data', (chunk: Buffer) => this.pass(chunk, (error) => socket.destroy(error)))
  }

  private pass(chunk: Buffer, fail: (error: Error) => void): void {
    try {
      const checked = this.wire.take(chunk)
      if (checked.length === 0) return
      this.yields.push(checked)
      this.signal.resolve()
    } catch (error) {
      fail(error as Error)
    }
  }

  /** The client stops reading for good where it throws, and leaves the connection open. */
  override [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return Object.assign(this.iterate(), {
      return: async () => {
        this.socket?.destroy(new Error('what the server sent could not be read'))
        return { done: true as const, value: undefined }
      },
    })
  }
}
