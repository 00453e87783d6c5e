/**
 * The port to an archive: cold storage far from this machine, where segments go and are never changed.
 * A name that is held keeps its content: a newer segment of a day has another name.
 */

import type { FileSum } from '../../core/runtime/file-sum.ts'

export interface Archive {
  /**
   * Whether all of a file is held, byte for byte as far as the archive can tell without sending it back.
   * @throws FleetError `archive.unavailable`
   */
  holds(name: string, sum: FileSum): Promise<boolean>
  /**
   * Resolves when the archive has the file; a file that is cut off or damaged on the way is refused by it.
   * @throws FleetError `archive.unavailable`, `archive.refused`
   */
  put(name: string, path: string, sum: FileSum): Promise<void>
  /**
   * The bytes of a file from one on.
   * @throws FleetError `archive.unavailable`, also when there is no such file
   */
  read(name: string, fromByte: number): AsyncIterable<Uint8Array>
}
