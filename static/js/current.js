/* Status and waves: asked for again every ten seconds. */

import { keepCurrent, patchParts } from "./live.js";

const SECONDS = 10;

keepCurrent(SECONDS, patchParts);
