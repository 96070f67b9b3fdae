// Asks for metrics and reads no answer. Run as `node flood.ts PORT CONNECTIONS REQUESTS`: so many connections, each with
// so many requests in one write. Each is opened again after a second. Prints a line when all have connected.

import { createConnection } from 'node:net'

const [port, connections, requests] = process.argv.slice(2).map(Number) as [number, number, number]
const text = 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(requests)
let connected = 0
for (let index = 0; index < connections; index++) open()

function open(): void {
  const socket = createConnection(port, '127.0.0.1', () => {
    socket.write(text)
    if (++connected === connections) console.log('all have connected')
  })
  socket.pause().on('error', () => {})
  setTimeout(() => {
    socket.destroy()
    open()
  }, 1000)
}
