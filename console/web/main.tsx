/** The pages begin here: the one element that they fill. */
import { render } from 'preact'

const root = document.getElementById('app')
if (root !== null) render(<p>hello</p>, root)
