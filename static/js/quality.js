/* Data quality: current as changes come. */

import { keepLive, patchParts } from "./live.js";

const SECONDS = 30;

keepLive(SECONDS, patchParts);
