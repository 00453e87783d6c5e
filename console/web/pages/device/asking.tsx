/** Asks before something is done to a device: suspend, resume, retire, close its connection; forms are in `forms.tsx`. */
import { useApp } from '../../app-state.ts'
import { Confirm } from '../../parts/dialog.tsx'
import { AssignDialog, CommandDialog, ConfigDialog, RotateDialog } from './forms.tsx'
import { pathOf, type Shown } from './shown.ts'

export type Asked =
  | 'suspend'
  | 'resume'
  | 'retire'
  | 'kick'
  | 'rotate'
  | 'assign'
  | 'window'
  | 'config'
  | 'command'

export function Asking({ asked, device, close }: { asked: Asked; device: Shown; close: () => void }) {
  const { api } = useApp()
  const { deviceId } = device
  const path = pathOf(deviceId)
  switch (asked) {
    case 'suspend':
      return (
        <Confirm
          title={`Suspend ${deviceId}`}
          verb={`Suspend ${deviceId}`}
          done={`${deviceId} is suspended.`}
          act={() => api.post(`${path}/suspend`)}
          close={close}
        >
          <p>
            It gets no tokens, those it has are void, and its connection is closed within a second. What it
            counts waits on the device until you resume it.
          </p>
        </Confirm>
      )
    case 'resume':
      return (
        <Confirm
          title={`Resume ${deviceId}`}
          verb={`Resume ${deviceId}`}
          done={`${deviceId} may come back.`}
          act={() => api.post(`${path}/resume`)}
          close={close}
        >
          <p>It may get tokens again and comes back by itself, with what it counted meanwhile.</p>
        </Confirm>
      )
    case 'retire':
      return (
        <Confirm
          title={`Retire ${deviceId}`}
          verb={`Retire ${deviceId} for good`}
          done={`${deviceId} is retired.`}
          act={() => api.post(`${path}/retire`)}
          close={close}
        >
          <p>
            For good: its credentials are void and its identifier is never given again. Its readings stay. To
            stop it for a while, suspend it instead.
          </p>
        </Confirm>
      )
    case 'kick':
      return (
        <Confirm
          title={`Close the connection of ${deviceId}`}
          verb="Close it"
          done={`The connection of ${deviceId} is closed.`}
          act={() => api.delete(`/api/broker/v1/connections/${encodeURIComponent(deviceId)}`)}
          close={close}
        >
          <p>It comes back by itself; nothing is lost.</p>
        </Confirm>
      )
    case 'window':
      return <WindowDialog device={device} path={path} close={close} />
    case 'rotate':
      return <RotateDialog deviceId={deviceId} path={path} close={close} />
    case 'assign':
      return <AssignDialog deviceId={deviceId} path={path} close={close} />
    case 'config':
      return <ConfigDialog deviceId={deviceId} path={path} close={close} />
    case 'command':
      return <CommandDialog deviceId={deviceId} path={path} close={close} />
    default: {
      const never: never = asked
      return never
    }
  }
}

function WindowDialog({ device, path, close }: { device: Shown; path: string; close: () => void }) {
  const { api } = useApp()
  const isOpen = device.enrolWindowUntilMs !== undefined && device.enrolWindowUntilMs > Date.now()
  return (
    <Confirm
      title={isOpen ? 'Close the window' : `Let ${device.deviceId} enrol again`}
      verb={isOpen ? 'Close it' : 'Open a window for a day'}
      done={isOpen ? 'The window is closed.' : `${device.deviceId} may enrol again, once, within a day.`}
      act={() => (isOpen ? api.delete(`${path}/enrol-window`) : api.post(`${path}/enrol-window`))}
      close={close}
    >
      {isOpen ? (
        <p>It can then enrol again only with an enrolment key or with proof of its old key.</p>
      ) : (
        <p>
          For a board that lost its disk: whoever asks first under this identifier becomes the device. Open it
          only while somebody is at the board.
        </p>
      )}
    </Confirm>
  )
}
