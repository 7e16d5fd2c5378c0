import type { Messages } from "../i18n.ts";

export const progress: Messages["progress"] = {
  title: "进度",
  waiting: "等待节点",
  waitingText: "节点连接且有空闲名额后会立即开始。",
  starting: "正在启动",
  scanning: "正在扫描来源",
  packing: "正在读取和打包",
  uploading: "正在完成上传",
  verifying: "正在检查",
  restoring: "正在写入",
  read: "已读取",
  written: "已写入",
  rate: "速度",
  perSecond: "{{amount}}/秒",
  entries: "条目",
  left: "剩余时间",
  about: "约 {{time}}",
  elapsed: "已用时间",
  estimate: "参照该任务上一次备份估算",
};
