/** The pages begin here: the one element that they fill. */
import { render } from 'preact'
import { readLook, showLook } from './app-state.ts'
import { Root } from './root.tsx'
import './style/tokens.css'
import './style/base.css'
import './style/frame.css'
import './style/parts.css'
import './style/tables.css'
import './style/pictures.css'
import './style/modes.css'

showLook(readLook())
const place = document.getElementById('app')
if (place !== null) render(<Root />, place)
