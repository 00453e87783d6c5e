/** The least a device could be: MQTT.js and a timer, no outbox, no token of its own. A process of its own. */
import { connect } from 'mqtt'

export interface PlainOrder {
  readonly url: string
  readonly topic: string
  readonly everyMs: number
}

process.once('message', (order: PlainOrder) => {
  const client = connect(order.url, { clientId: 'plain', username: 'plain', password: 'plain', clean: true })
  let seq = 0
  client.once('connect', () => {
    const publish = () => {
      const readings = [{ seq: seq++, timestampMs: Date.now(), occupied: seq % 300, capacity: 300 }]
      client.publish(order.topic, JSON.stringify({ v: 1, epoch: '0123456789abcdef', readings }), { qos: 1 })
    }
    publish()
    setInterval(publish, order.everyMs)
  })
  process.on('message', (message: { do: string }) => {
    if (message.do === 'stop') client.end(true, {}, () => process.exit(0))
  })
})
