/**
 * The negative control: a handover that acknowledges a message as soon as it has come in, before anybody has stored it.
 * Built into a broker of its own (`buildEarlyBroker`), it must be caught losing; no program of ours can load it.
 */
import { type HandoverOwner, Handover as RealHandover } from '../../broker/handover.ts'

export type { Delivery, HandoverOwner, IngestLink } from '../../broker/handover.ts'

const nobody: HandoverOwner = { settled: () => undefined, failed: () => undefined }

export class Handover extends RealHandover {
  override offer(owner: HandoverOwner, message: Parameters<RealHandover['offer']>[1]): void {
    super.offer(nobody, message)
    owner.settled(message.packetId)
  }
}
