import type { Messages } from "../i18n.ts";

export const common: Messages["common"] = {
  loading: "正在加载",
  unreachable: "无法连接主控端。请检查网络；恢复后本页会自动继续。",
  retry: "重试",
  more: "显示更多",
  cancel: "取消",
  save: "保存",
  close: "关闭",
  delete: "删除",
  copy: "复制",
  copied: "已复制",
  name: "名称",
  never: "从未",
  none: "无",
  language: "语言",
  details: "详情",
  passwordRule: "至少 {{count}} 个字符",
  offline: "无法连接主控端。您看到的内容可能已过时；系统会自动重新查询。",
};
